"""Cost exports in the FOCUS format (FinOps Open Cost and Usage Specification, 1.0 and later)."""
