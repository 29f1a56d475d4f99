"""The `Idempotency-Key` header."""
