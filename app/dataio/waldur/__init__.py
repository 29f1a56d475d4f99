"""Imports the billing data of a Waldur from its database."""
