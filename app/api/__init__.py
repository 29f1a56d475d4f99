"""The HTTP conventions that all endpoint groups share."""
