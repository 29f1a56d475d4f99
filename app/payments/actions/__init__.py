"""Actions on payments and payment profiles, without HTTP.

Each takes a connection in a transaction of its caller, and a command that says what to do. After an
error the transaction must be rolled back.
"""
