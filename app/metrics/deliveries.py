"""Deliveries of notifications to the mail server."""

from enum import StrEnum
from typing import Final

from prometheus_client import Counter


class DeliveryOutcome(StrEnum):
    """The outcome of an attempt at a delivery."""

    SENT = "sent"
    POSTPONED = "postponed"
    """To be tried again."""
    FAILED = "failed"


_ATTEMPTS: Final = Counter(
    "invoicing_delivery_attempts_total", "Attempts at deliveries, by outcome.", ["outcome"]
)
for _outcome in DeliveryOutcome:  # from zero, so that a first failure is an increase
    _ATTEMPTS.labels(_outcome)


def count_delivery_attempt(outcome: DeliveryOutcome) -> None:
    """Count an attempt at a delivery."""
    _ATTEMPTS.labels(outcome).inc()
