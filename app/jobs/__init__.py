"""The worker: jobs, their schedule, and the runner of the outbox."""
