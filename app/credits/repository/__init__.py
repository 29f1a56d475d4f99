"""The statements that write credits, their ledger and the fees of affiliates."""
