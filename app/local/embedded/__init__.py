"""PostgreSQL and Valkey for a machine without servers.

`EmbeddedPostgresql` and `EmbeddedValkey` are context managers around a directory: they start the
server's binary as a child, reach it over a Unix socket, and stop it at the end. A server does not
outlive the process that started it (on Linux, even if that is killed), does not run as root, and
does not share its directory with another server.
"""
