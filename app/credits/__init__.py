"""Credits of customers and projects, their ledger, and the fees of affiliates."""
