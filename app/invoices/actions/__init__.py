"""Actions on one invoice, without HTTP.

Each takes a connection in a transaction of its caller, and a command that says what to do. After an
error of `app.invoices.errors` the transaction must be rolled back.
"""
