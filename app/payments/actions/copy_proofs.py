"""Copy the proofs of payment from one store to another, while the service runs.

The copy may be repeated: a proof that the target has already, with the right digest, is left as it
is. What arrives in the source meanwhile is copied the next time.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from sqlalchemy import select

from app.database.engine import Database
from app.payments.models import Payment
from app.payments.proof_store.store import UNFINISHED, ProofMissing, ProofStore
from app.payments.proofs import is_key
from app.progress import UNWATCHED, Progress

_BATCH: Final = 1000
_AT_ONCE: Final = 8


@dataclass(slots=True)
class ProofCopy:
    """The outcome of a copy."""

    copied: int = 0
    present: int = 0
    """Proofs that the target had already."""
    damaged: list[str] = field(default_factory=list)
    """Keys of proofs that were not copied: their digest is not that of their payment."""
    missing: list[str] = field(default_factory=list)
    """Keys of proofs that payments name and that are in neither store."""


async def copy_proofs(
    database: Database | None,
    source: ProofStore,
    target: ProofStore,
    progress: Progress = UNWATCHED,
) -> ProofCopy:
    """Copy every proof of the source, also those that no payment names.

    The digest of each is compared with that of its payment; what the target has already, with that
    of the source. Without a database, digests are not known and none is missing. Raises
    `StorageUnavailable`.
    """
    keys = sorted(filter(is_key, await source.list()))
    outcome = ProofCopy()
    await _remove_unfinished(target, set(keys))
    progress.begin("proofs", len(keys))
    turns = asyncio.Semaphore(_AT_ONCE)

    async def copy(key: str, digest: str | None) -> None:
        async with turns:
            await _copy(source, target, key, digest, outcome)
        progress.advance()

    for start in range(0, len(keys), _BATCH):
        batch = keys[start : start + _BATCH]
        digests = await _find_digests(database, batch) if database else {}
        await asyncio.gather(*(copy(key, digests.get(key)) for key in batch))
    if database:
        outcome.missing = await _find_missing(database, target, set(keys))
    return outcome


async def _copy(
    source: ProofStore, target: ProofStore, key: str, digest: str | None, outcome: ProofCopy
) -> None:
    try:
        if await target.find(key):
            wanted = digest or await _digest_of(source.read(key))
            if await _digest_of(target.read(key)) == wanted:
                outcome.present += 1
                return
        if await _transfer(source, target, key, digest):
            outcome.copied += 1
        else:
            outcome.damaged.append(key)
    except ProofMissing:  # it was swept meanwhile; else it is found to be missing
        return


async def _transfer(source: ProofStore, target: ProofStore, key: str, digest: str | None) -> bool:
    """Copy a proof, unless its digest is another; return whether it was copied."""
    upload = target.begin(key)
    copied = sha256()
    try:
        async with aclosing(source.read(key)) as pieces:
            async for piece in pieces:
                copied.update(piece)
                await asyncio.to_thread(upload.write, piece)
        if digest is not None and copied.hexdigest() != digest:
            return False
        await upload.finish()
    finally:
        upload.discard()
    return True


async def _digest_of(pieces: AsyncGenerator[bytes, None]) -> str:
    digest = sha256()
    async with aclosing(pieces):
        async for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


async def _remove_unfinished(target: ProofStore, keys: set[str]) -> None:
    """Remove what a copy that ended too early has left."""
    for name in await target.list():
        if name.endswith(UNFINISHED) and name.removesuffix(UNFINISHED) in keys:
            await target.delete(name)


async def _find_digests(database: Database, keys: list[str]) -> dict[str, str]:
    statement = select(Payment.proof_key, Payment.proof_sha256).where(Payment.proof_key.in_(keys))
    async with database.reading() as connection:
        rows = await connection.execute(statement)
        return {str(row.proof_key): str(row.proof_sha256) for row in rows}


async def _find_missing(database: Database, target: ProofStore, copied: set[str]) -> list[str]:
    statement = select(Payment.proof_key).where(Payment.proof_key.is_not(None))
    async with database.reading() as connection:
        named = {str(key) for key in (await connection.execute(statement)).scalars()}
    return [key for key in sorted(named - copied) if await target.find(key) is None]
