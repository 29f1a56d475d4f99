"""The keyed hashes that chain the entries of an invoice, and the head that the invoice keeps.

Whoever writes to the database but has not the key can make none of them. PostgreSQL never sees it.
"""

import hmac
from typing import Final
from uuid import UUID

from pydantic import SecretStr

EMPTY_HEAD: Final = bytes(32)
"""What stands for the head before the first entry."""


class HashChain:
    """Makes the hashes of one key."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key.get_secret_value().encode()

    def entry_hash(self, invoice: UUID, sequence: int, previous: bytes, digest: bytes) -> bytes:
        """Return the hash of an entry: of its content, its place, and the head before it."""
        return self._keyed(b"entry", invoice, sequence, previous, digest)

    def head_hash(self, invoice: UUID, sequence: int, entry: bytes) -> bytes:
        """Return the head of an invoice whose last entry has this sequence and this hash.

        It is another hash than the entry's: an older one, found in the record, is no head.
        """
        return self._keyed(b"head", invoice, sequence, entry)

    def _keyed(self, what: bytes, invoice: UUID, sequence: int, *more: bytes) -> bytes:
        place = invoice.bytes + sequence.to_bytes(8)
        return hmac.digest(self._key, b"".join((what, place, *more)), "sha256")
