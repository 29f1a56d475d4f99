"""Bring a Waldur's billing records over, by reading its database."""
