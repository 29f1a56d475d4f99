"""Invoices that the close of the month has issued, or could not issue."""

from enum import StrEnum
from typing import Final

from prometheus_client import Counter


class CloseResult(StrEnum):
    """The result of an attempt to issue an invoice."""

    CREATED = "created"
    PAID = "paid"
    """Nothing is to be paid, or a fixed price contract covers it."""
    FAILED = "failed"
    """To be tried again by the next close."""


_CLOSED: Final = Counter(
    "invoicing_close_invoices_total",
    "Invoices that the close of the month issued or failed to issue.",
    ["result"],
)
for _result in CloseResult:
    _CLOSED.labels(_result)


def count_closed(result: CloseResult, number: int = 1) -> None:
    """Count invoices with this result."""
    _CLOSED.labels(result).inc(number)
