"""The records of imports and exports: one model for each kind, with every field of one row.

A record names other records by their UUIDs, in a field with the name of their kind: `customer` is
the UUID of a customer. The models are strict: an amount is a Decimal, or a string in JSON, never a
number; a time has an offset; a text is one that PostgreSQL can store. JSON Lines holds these
records, and the readers of the other formats produce them.
"""
