"""Idempotency keys, and how long they are valid."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

LIFETIME: Final = timedelta(hours=24)
"""How long a stored response is replayed."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key of one user. Two users may use the same text independently."""

    user_id: int
    text: str
