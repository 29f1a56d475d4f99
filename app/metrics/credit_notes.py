"""Credit notes that requests have made."""

from typing import Final

from prometheus_client import Counter

_CREDIT_NOTES: Final = Counter("invoicing_credit_notes_total", "Credit notes made by requests.")


def count_credit_note() -> None:
    """Count a credit note that was made."""
    _CREDIT_NOTES.inc()
