"""The JSON Lines format: one record on each line."""
