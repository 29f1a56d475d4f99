"""The keyed hashes that chain the entries of an invoice, and the head stored with the invoice.

Writing to the database is not enough to forge one: that takes the key, which PostgreSQL never sees.
"""

import hmac
from typing import Final
from uuid import UUID

from pydantic import SecretStr

EMPTY_HEAD: Final = bytes(32)
"""The head before the first entry."""


class HashChain:
    """Computes hashes with one key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    def entry_hash(self, invoice: UUID, sequence: int, previous: bytes, digest: bytes) -> bytes:
        """Return the hash of an entry: over its digest, its position and the head before it."""
        return self._hash(b"entry", invoice, sequence, previous, digest)

    def head_hash(self, invoice: UUID, sequence: int, entry: bytes) -> bytes:
        """Return the head of an invoice whose last entry has this sequence and hash.

        It differs from the entry's hash, so that no hash of the record can serve as a head.
        """
        return self._hash(b"head", invoice, sequence, entry)

    def _hash(self, kind: bytes, invoice: UUID, sequence: int, *parts: bytes) -> bytes:
        position = invoice.bytes + sequence.to_bytes(8)
        return hmac.digest(self._key, b"".join((kind, position, *parts)), "sha256")
