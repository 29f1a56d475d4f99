"""Notifications that are handed to the mail server."""

from enum import StrEnum
from typing import Final

from prometheus_client import Counter


class DeliveryOutcome(StrEnum):
    """How an attempt at a delivery may end."""

    SENT = "sent"
    POSTPONED = "postponed"
    """To be tried again."""
    FAILED = "failed"


_ATTEMPTS: Final = Counter(
    "invoicing_delivery_attempts_total", "Attempts at deliveries, by how they ended.", ["outcome"]
)
for _outcome in DeliveryOutcome:  # each begins at zero, so that the first failure is a rise
    _ATTEMPTS.labels(_outcome)


def delivery_attempted(outcome: DeliveryOutcome) -> None:
    """Count an attempt at a delivery."""
    _ATTEMPTS.labels(outcome).inc()
