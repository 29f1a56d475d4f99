"""The response cache: rendered bodies in the memory of one process.

An entry never becomes stale. Its key is the ETag of the state that it shows, and a request reads
that state from the database before it looks here.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import babel
from cachetools import LRUCache

from app.metrics.response_cache import CACHE_BYTES, HITS, MISSES
from app.settings import Settings

REPRESENTATION_VERSION: Final = 1
"""The version of all bodies with an ETag. Raise it with each change of what they show for the same
data: ETags of the old bodies then match no longer. Releases with the same version have the same
ETags, so that If-Match holds while one replaces the other."""
_ENTRY_OVERHEAD: Final = 600
"""Bytes that the cache itself takes for an entry, about."""


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A body, or a part of one, and the headers that are known only with it."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def _size(response: CachedResponse) -> int:
    return len(response.body) + _ENTRY_OVERHEAD


class ResponseCache:
    """The rendered bodies of one application; the least recently used ones are evicted."""

    def __init__(self, settings: Settings) -> None:
        self._entries: LRUCache[Hashable, CachedResponse] = LRUCache(
            settings.document_cache_bytes, getsizeof=_size
        )
        shown = settings.model_dump_json(include={"issuer_details", "locale"})
        if settings.finalization_grace_hours:
            shown += " with grace periods"
        # Babel has the names of countries.
        seed = f"{REPRESENTATION_VERSION} {babel.__version__} {shown}"
        self._seed = blake2b(seed.encode(), digest_size=16).digest()

    @property
    def size(self) -> int:
        """The bytes in use, at most those of the setting."""
        return int(self._entries.currsize)

    def get(self, key: Hashable) -> CachedResponse | None:
        """Return the response that is stored under a key."""
        response: CachedResponse | None = self._entries.get(key)
        (MISSES if response is None else HITS).inc()
        return response

    def store(self, key: Hashable, response: CachedResponse) -> None:
        """Store a response unless it is larger than the cache.

        The key must be short, such as an ETag: its size is not counted, and requests must not be
        able to fill the memory with keys.
        """
        if _size(response) <= self._entries.maxsize:
            self._entries[key] = response
            CACHE_BYTES.set(self.size)

    def etag(self, state: Iterable[object]) -> str:
        """Return the strong ETag (RFC 9110, 8.8.1) of a body that the state determines.

        It is equal in processes with the same settings and the same representation version.
        """
        digest = blake2b(self._seed, digest_size=16)
        digest.update(repr(state).encode())
        return f'"{digest.hexdigest()}"'
