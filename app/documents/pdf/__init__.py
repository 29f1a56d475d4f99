"""Printed documents: PDF/A-3 with the e-invoice inside."""
