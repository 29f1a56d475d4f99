"""Users, tokens and roles, and which records a caller may see."""
