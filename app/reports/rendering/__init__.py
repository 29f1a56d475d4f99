"""Report files and their message."""
