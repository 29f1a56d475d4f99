"""The transactional outbox: jobs that are recorded with a change and run after its commit."""
