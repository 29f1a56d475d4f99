"""The middleware that every request passes before its endpoint."""
