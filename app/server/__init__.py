"""The API's processes: how they listen, and how they end without dropping a request."""
