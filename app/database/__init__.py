"""Engine, transactions, deadlines, errors and column types; no queries of the domain."""
