"""Engine, connections, declarative base and column types; no queries."""
