"""The conventions of the wire that every endpoint group shares."""
