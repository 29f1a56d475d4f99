"""The arq worker: jobs, schedule, the outbox relay."""
