"""Demonstration data: fictitious invoices of thirteen months, up to the current month."""

from app.local.demo.issuer import ISSUER, MAIL_FROM
from app.local.demo.loading import DemoSummary, load

__all__ = ["ISSUER", "MAIL_FROM", "DemoSummary", "load"]
