"""The services for sale."""
