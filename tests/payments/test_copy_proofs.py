"""Proofs are copied between a folder and a bucket, once, and their digests are checked."""

from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from app.database.engine import Database
from app.payments.actions.copy_proofs import ProofCopy, copy_proofs
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import UNFINISHED, ProofStore
from app.payments.proofs import Proof
from app.settings import Settings
from app.storage import StorageUnavailable
from tests.support.factories import Factories, Row
from tests.support.object_store import ObjectStore

PDF = b"%PDF-1.7\n"
Record = Callable[[Proof], Awaitable[Row]]


@pytest.fixture
def folder(settings: Settings) -> FolderStore:
    return FolderStore(settings.proof_dir, settings.proof_max_bytes)


@pytest.fixture
def bucket(bucket_settings: Settings) -> ProofStore:
    return open_store(bucket_settings)


@pytest.fixture
async def record(make: Factories) -> Record:
    """Record a payment with a proof."""
    profile = await make.profile(await make.customer())

    async def record(proof: Proof) -> Row:
        columns: dict[str, Any] = {
            "proof_key": proof.key,
            "proof_name": proof.name,
            "proof_media_type": proof.media_type,
            "proof_size": proof.size,
            "proof_sha256": proof.sha256,
        }
        return await make.payment(profile, **columns)

    return record


async def keep(store: ProofStore, content: bytes) -> Proof:
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("proof.pdf")
        await incoming.write(content)
        return await incoming.finish()


def counts(outcome: ProofCopy) -> tuple[int, int, int, int]:
    return outcome.copied, outcome.present, len(outcome.damaged), len(outcome.missing)


async def test_a_copy_can_be_repeated_and_goes_both_ways(
    database: Database,
    folder: FolderStore,
    bucket: ProofStore,
    object_store: ObjectStore,
    record: Record,
) -> None:
    contents = {}
    for number in range(3):
        content = PDF + b"%d" % number
        proof = await keep(folder, content)
        contents[proof.key] = content
        if number:  # one belongs to a payment that is being recorded
            await record(proof)
    assert counts(await copy_proofs(database, folder, bucket)) == (3, 0, 0, 0)
    assert object_store.contents() == contents

    later = await keep(folder, PDF)
    assert counts(await copy_proofs(database, folder, bucket)) == (1, 3, 0, 0)
    contents[later.key] = PDF
    assert object_store.contents() == contents

    for key in contents:
        await folder.delete(key)
    assert counts(await copy_proofs(database, bucket, folder)) == (4, 0, 0, 0)
    assert {path.name: path.read_bytes() for path in folder.directory.iterdir()} == contents


async def test_a_copy_that_is_incomplete_or_another_is_replaced(
    database: Database,
    folder: FolderStore,
    bucket: ProofStore,
    object_store: ObjectStore,
    record: Record,
) -> None:
    proof = await keep(folder, PDF)
    await record(proof)
    await copy_proofs(database, folder, bucket)
    objects = object_store.objects
    objects[proof.key] = replace(objects[proof.key], content=PDF[:-1] + b"!")
    assert counts(await copy_proofs(database, folder, bucket)) == (1, 0, 0, 0)
    assert object_store.contents() == {proof.key: PDF}

    await folder.delete(proof.key)
    (folder.directory / f"{proof.key}{UNFINISHED}").write_bytes(PDF[:3])
    assert counts(await copy_proofs(database, bucket, folder)) == (1, 0, 0, 0)
    assert [path.name for path in folder.directory.iterdir()] == [proof.key]


async def test_damaged_and_missing_proofs_are_named(
    database: Database,
    folder: FolderStore,
    bucket: ProofStore,
    object_store: ObjectStore,
    record: Record,
) -> None:
    damaged, missing = await keep(folder, PDF), await keep(folder, PDF)
    await record(damaged)
    await record(missing)
    folder.path(damaged.key).write_bytes(PDF[:-1] + b"!")
    await folder.delete(missing.key)
    moved = await keep(bucket, PDF)  # its payment was recorded after the service had moved
    await record(moved)
    outcome = await copy_proofs(database, folder, bucket)
    assert counts(outcome) == (0, 0, 1, 1)
    assert (outcome.damaged, outcome.missing) == ([damaged.key], [missing.key])
    assert set(object_store.contents()) == {moved.key}


async def test_a_store_that_fails_ends_the_copy(
    database: Database, folder: FolderStore, bucket: ProofStore, object_store: ObjectStore
) -> None:
    await keep(folder, PDF)
    object_store.buckets.clear()
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await copy_proofs(database, folder, bucket)
