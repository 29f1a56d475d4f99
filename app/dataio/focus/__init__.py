"""Cost exports in FOCUS, the FinOps Open Cost and Usage Specification, version 1.0 and later."""
