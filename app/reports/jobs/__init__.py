"""Jobs that send reports, each safe to run twice."""
