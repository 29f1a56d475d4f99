"""What was made for answers, kept in the memory of the process for the next that ask for the same.

Nothing here is ever out of date: a body is kept under all that it was made of, and whoever asks
for it has just read that from the database.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from pathlib import Path

import babel
from cachetools import LRUCache

from app.metrics.response_cache import FOUND, KEPT_BYTES, MISSED
from app.settings import Settings

_SOURCE = Path(__file__).parents[2]
_BOOKKEEPING = 600
"""Bytes that the cache itself takes for a body, about."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body, or a part of one, and the headers that are known only with it."""

    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def _weight(body: Body) -> int:
    return len(body.content) + _BOOKKEEPING


class KeptBodies:
    """The bodies of one application; those not asked for the longest make room for others."""

    def __init__(self, settings: Settings) -> None:
        self._bodies: LRUCache[Hashable, Body] = LRUCache(
            settings.document_cache_bytes, getsizeof=_weight
        )
        self._origin = _origin(settings)

    @property
    def size(self) -> int:
        """The bytes that are kept, at most those of the setting."""
        return int(self._bodies.currsize)

    def get(self, key: Hashable) -> Body | None:
        """Return the body that was made of what the key names, if it is kept."""
        body: Body | None = self._bodies.get(key)
        (MISSED if body is None else FOUND).inc()
        return body

    def keep(self, key: Hashable, body: Body) -> None:
        """Keep a body for as long as there is room.

        The key is short, such as a validator: it is not counted, and clients must not fill the
        memory with what they ask for.
        """
        if _weight(body) <= self._bodies.maxsize:
            self._bodies[key] = body
            KEPT_BYTES.set(self.size)

    def validator(self, made_of: Iterable[object]) -> str:
        """Return the strong validator (RFC 9110, 8.8.1) of an answer that is made of this.

        It is the same in every process that runs this code with these settings, and in no other.
        """
        digest = blake2b(self._origin, digest_size=16)
        digest.update(repr(made_of).encode())
        return f'"{digest.hexdigest()}"'


def _origin(settings: Settings) -> bytes:
    """Return a digest of what answers are made of besides data: the code and its settings."""
    shown = settings.model_dump_json(include={"issuer_details", "locale"})
    return blake2b(_code() + shown.encode(), digest_size=16).digest()


@cache
def _code() -> bytes:
    digest = blake2b(babel.__version__.encode(), digest_size=16)  # it has the names of countries
    for path in sorted(_SOURCE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()
