"""Users, tokens and roles: who may see what."""
