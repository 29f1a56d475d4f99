"""For machines without servers: embedded servers, a supervisor, demonstration data."""
