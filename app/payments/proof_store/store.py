"""The interface of stores of proofs, and the functions that serve each of them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from app.logging import describe_error, get_logger
from app.payments.proofs import Proof
from app.storage import StorageUnavailable

UNFINISHED: Final = ".part"
"""The suffix of a file that is still arriving in a folder."""

_logger = get_logger(__name__)


class ProofMissing(StorageUnavailable):
    """The store has no proof with this key."""


class ProofDamaged(StorageUnavailable):
    """The stored content is not that of the proof: its size or its digest differs."""


class StoredProof(NamedTuple):
    """A proof in a store."""

    size: int
    """In bytes."""
    modified: float
    """The time when it was stored, in seconds since 1970."""


class Upload(Protocol):
    """The content of one proof on its way into a store."""

    def write(self, data: bytes | bytearray) -> None:
        """Add a piece. It blocks, so call it in a thread; raises `StorageUnavailable`."""

    async def finish(self) -> None:
        """Store the content durably under its key; raises `StorageUnavailable`."""

    def discard(self) -> None:
        """Remove what was written; does nothing after `finish`."""


class ProofStore(Protocol):
    """A store of proofs. Each method raises `ValueError` for an invalid key."""

    @property
    def max_bytes(self) -> int:
        """The maximum size of a proof."""

    @property
    def location(self) -> str:
        """The folder or URL of the store, for messages."""

    def begin(self, key: str) -> Upload:
        """Begin a proof under a new key. Nobody sees it before it is finished."""

    async def find(self, key: str) -> StoredProof | None:
        """Return the proof with this key, or None; raises `StorageUnavailable`."""

    def read(self, key: str, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the content from an offset on; raises `ProofMissing` and `StorageUnavailable`."""

    async def delete(self, name: str) -> None:
        """Delete what has a name of `list`, if it exists; raises `StorageUnavailable`."""

    async def list(self) -> dict[str, float]:
        """Return the names in the store, and when each was last written, in seconds since 1970.

        A name is a key, or a key and `UNFINISHED`; anything else does not belong to the store.
        Raises `StorageUnavailable`.
        """

    async def now(self) -> float:
        """Return the time that the store gives to what is written now; see `list`."""


async def older_than(store: ProofStore, age: timedelta) -> list[str]:
    """Return the names of what was last written longer ago than `age`.

    The time is that of the store: with the host's clock a day ahead, new proofs would look old.
    Raises `StorageUnavailable`.
    """
    written = await store.list()
    if not written:
        return []
    latest = await store.now() - age.total_seconds()
    return [name for name, moment in written.items() if moment < latest]


async def find_whole(store: ProofStore, proof: Proof) -> StoredProof:
    """Return the stored proof; raises `StorageUnavailable` if it is missing or not whole.

    A payment refers to it: it will be back with its store, or from a backup.
    """
    stored = await store.find(proof.key)
    if stored is None:
        raise ProofMissing("it is not in the store")
    if stored.size != proof.size:
        raise ProofDamaged("it is truncated")
    return stored


async def read_verified(store: ProofStore, proof: Proof) -> AsyncGenerator[bytes, None]:
    """Yield the content of a proof, the last piece only if the digest is right.

    Raises `ProofMissing`, `ProofDamaged` and `StorageUnavailable`.
    """
    digest = sha256()
    last = b""
    async with aclosing(store.read(proof.key)) as pieces:
        async for piece in pieces:
            digest.update(piece)
            if last:
                yield last
            last = piece
    if digest.hexdigest() != proof.sha256:
        raise ProofDamaged("its digest differs")
    yield last


async def remove(store: ProofStore, key: str) -> None:
    """Remove a proof, if it exists; the sweep removes it later if this fails."""
    try:
        await store.delete(key)
    except StorageUnavailable as error:
        _logger.warning("proof left to the sweep", key=key, error=describe_error(error))
