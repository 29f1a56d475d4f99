"""The keyed hashes that chain the entries of an invoice, and the head stored with the invoice.

Writing to the database is not enough to forge one: that takes the key, which PostgreSQL never sees.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

EMPTY_HEAD: Final = bytes(32)
"""The head before the first entry."""


@dataclass(frozen=True, slots=True)
class HashChain:
    """Computes hashes with one key."""

    key: bytes = field(repr=False)

    def entry_hash(self, invoice: UUID, sequence: int, previous: bytes, digest: bytes) -> bytes:
        """Return the hash of an entry: over its digest, its position and the head before it."""
        position = invoice.bytes + sequence.to_bytes(8)
        return hmac.digest(self.key, b"entry" + position + previous + digest, "sha256")

    def head_hash(self, invoice: UUID, sequence: int, entry: bytes) -> bytes:
        """Return the head of an invoice whose last entry has this sequence and hash.

        It differs from the entry's hash, so that no hash of the record can serve as a head.
        """
        position = invoice.bytes + sequence.to_bytes(8)
        return hmac.digest(self.key, b"head" + position + entry, "sha256")
