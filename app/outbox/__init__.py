"""The transactional outbox: jobs recorded with a change and run after its commit."""
