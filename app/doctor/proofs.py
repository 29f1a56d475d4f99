"""Checks of the proofs of payment and of their store."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from sqlalchemy import select

from app.database.engine import Database
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.payments.models import Payment
from app.payments.proof_store.bucket import BucketStore
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import ProofStore
from app.settings import Settings
from app.storage import StorageUnavailable, write_problem

_SAMPLE_SIZE: Final = 200
_LOOKUPS: Final = 16
"""Proofs of the sample that are looked up at once."""
_FREE_PROOFS: Final = 100
"""Proofs of the largest size for which the disk should have space."""


async def store(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the store takes, returns and deletes proofs."""
    opened = open_store(settings)
    if isinstance(opened, BucketStore):
        yield await _check_bucket(opened)
    else:
        yield await asyncio.to_thread(_check_folder, settings.proof_dir, settings.proof_max_bytes)


async def _check_bucket(bucket: BucketStore) -> CheckResult:
    try:
        await bucket.probe()
    except StorageUnavailable as error:
        return wrong(
            f"PROOF_STORE, {bucket.location}, cannot be used: {error}",
            "Check that the bucket exists, AWS_ENDPOINT_URL_S3, and the credentials and their"
            " rights; see `Object storage` in docs/operating.md.",
        )
    return well(f"{bucket.location} takes, returns and deletes objects")


def _check_folder(folder: Path, max_bytes: int) -> CheckResult:
    """Check that proofs can be written, and that the disk has space for more.

    A missing directory is not created: it may belong to a disk that is not mounted, and a running
    service would then write to the wrong disk.
    """
    if not folder.exists():
        return warning(
            f"PROOF_DIR, {folder}, does not exist, so no proof can be stored",
            "Mount it. If it never existed, restart the service, which creates it.",
        )
    if problem := write_problem(folder):
        return wrong(f"PROOF_DIR is wrong: {problem}", "Mount it, or make our user its owner.")
    free = shutil.disk_usage(folder).free
    message = f"{folder} is writable and has {free / 2**20:,.0f} MiB free"
    if free < max_bytes:
        return wrong(message, "Free space: the next proof may not fit.")
    if free < max_bytes * _FREE_PROOFS:
        return warning(message, f"Free space: {_FREE_PROOFS} proofs of PROOF_MAX_BYTES do not fit.")
    return well(message)


async def proofs(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Check a random sample of the proofs that payments refer to."""
    opened = open_store(settings)
    # Keys are random, so the keys after a random one are a random sample.
    start = secrets.token_hex(16)
    sample = select(Payment.proof_key, Payment.proof_size).limit(_SAMPLE_SIZE)
    after = sample.where(Payment.proof_key >= start).order_by(Payment.proof_key)
    before = sample.where(Payment.proof_key < start).order_by(Payment.proof_key.desc())
    async with database.reading() as connection:
        sampled = [*await connection.execute(after), *await connection.execute(before)]
    lookups = asyncio.Semaphore(_LOOKUPS)

    async def is_complete(key: str, size: int) -> bool:
        async with lookups:
            return await _is_complete(opened, key, size)

    try:
        complete = await asyncio.gather(*(is_complete(key, size) for key, size in sampled))
    except StorageUnavailable as error:
        yield warning(f"the proofs cannot be checked: {error}", "See `proof store`.")
        return
    if number := complete.count(False):
        yield wrong(
            f"of {len(sampled)} proofs that were checked, {number} are missing or incomplete in"
            f" {opened.location}",
            "All processes must share the store; restore it together with the database.",
        )
    else:
        yield well(f"all {len(sampled)} proofs that were checked exist")


async def _is_complete(opened: ProofStore, key: str, size: int) -> bool:
    try:
        stored = await opened.find(key)
    except ValueError:  # not a key of this service
        return False
    return stored is not None and stored.size == size
