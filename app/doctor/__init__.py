"""The checks of `python -m app doctor`: settings, servers, schema and backlog."""
