"""Tokens that were found moments ago, so that most requests need not ask the database for them."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app import clock

LIFE = 4.0
"""Seconds for which a found token is believed.

A second below the five within which a revoked token stops to work, for requests under way.
"""
BOUND = 4096
"""Tokens that are kept at most; the oldest makes room."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a good token is, and until when it is good by itself."""

    user_id: int
    user_uuid: UUID
    username: str
    token: str
    """The token's name."""
    is_staff: bool
    is_support: bool
    expires_at: datetime | None


class TokenCache:
    """Holders by the digest of their token; of one process, and of good tokens only."""

    def __init__(self, bound: int = BOUND) -> None:
        self._bound = bound
        self._found: OrderedDict[str, tuple[float, Holder]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._found)

    def get(self, digest: str) -> Holder | None:
        """Return the holder of a token that was looked up less than `LIFE` seconds ago."""
        found = self._found.get(digest)
        if found is None:
            return None
        asked_at, holder = found
        if 0 <= clock.monotonic() - asked_at < LIFE:
            return holder
        del self._found[digest]
        return None

    def keep(self, digest: str, holder: Holder, asked_at: float) -> None:
        """Keep what was found, by the monotonic clock as it was before the database was asked."""
        self._found[digest] = (asked_at, holder)
        self._found.move_to_end(digest)
        if len(self._found) > self._bound:
            self._found.popitem(last=False)
