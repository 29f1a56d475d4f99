"""The operations of credit notes."""
