"""PostgreSQL and a Redis-compatible server for a machine that has none.

`EmbeddedPostgresql` and `EmbeddedValkey` are context managers around a directory: they start the
server's own binary as a child, reach it over a Unix socket, and stop it at the end. A server never
outlives the process that started it (on Linux, not even one that was killed), never runs as root,
and never shares its directory with a second one.
"""
