"""The exit codes of commands."""

FAILED = 1
"""The command failed."""
MISUSED = 2
"""An argument or a setting is wrong."""
