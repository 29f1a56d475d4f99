"""Proofs of payment in a bucket: stored whole or not at all, also while the store fails."""

import asyncio
import os
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from app.payments.proof_store import store as stores
from app.payments.proof_store.bucket import BucketStore, open_bucket
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.store import (
    ProofDamaged,
    ProofMissing,
    find_whole,
    older_than,
    read_verified,
)
from app.payments.proofs import Proof, ProofRefused
from app.proof_settings import ProofStoreSettings
from app.storage import StorageUnavailable
from tests.support.object_store import ObjectStore, StoredObject

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
PREFIX = "some/prefix"


def bucket_of(object_store: ObjectStore, **changed: object) -> BucketStore:
    given = object_store.settings(PREFIX) | {"proof_max_bytes": 20_000_000} | changed
    url = given.pop("proof_store")
    return open_bucket(url, ProofStoreSettings(**given))


@pytest.fixture
def store(object_store: ObjectStore) -> BucketStore:
    return bucket_of(object_store)


async def keep(store: BucketStore, content: bytes) -> Proof:
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("proof.pdf")
        for at in range(0, len(content), 300_000):
            await incoming.write(content[at : at + 300_000])
        return await incoming.finish()


async def read_until_damaged(store: BucketStore, proof: Proof) -> bytes:
    received = b""
    try:
        async for piece in read_verified(store, proof):
            received += piece
    except ProofDamaged:
        return received
    raise AssertionError("the damage was not noticed")


async def read(store: BucketStore, proof: Proof) -> bytes:
    async with aclosing(read_verified(store, proof)) as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("size", [1000, 6_000_000])
async def test_a_proof_is_stored_under_a_random_key_below_the_prefix(
    object_store: ObjectStore, store: BucketStore, size: int
) -> None:
    content = PDF + os.urandom(size)
    proof = await keep(store, content)
    assert object_store.contents() == {f"{PREFIX}/{proof.key}": content}
    assert proof.sha256 == sha256(content).hexdigest()
    assert (await find_whole(store, proof)).size == proof.size == len(content)
    assert await read(store, proof) == content
    assert b"".join([piece async for piece in store.read(proof.key, size)]) == content[size:]
    assert (await keep(store, content)).key != proof.key


async def test_a_large_proof_is_uploaded_in_parts(
    object_store: ObjectStore, store: BucketStore
) -> None:
    object_store.requests.clear()
    await keep(store, PDF + b"x" * 6_000_000)
    uploads = [each for each in object_store.requests if each.startswith("PUT")]
    assert len(uploads) == 2
    assert all("partNumber=" in each for each in uploads)
    assert object_store.uploads == {}


async def test_nothing_reaches_the_store_before_the_proof_is_whole(
    object_store: ObjectStore, store: BucketStore
) -> None:
    object_store.requests.clear()
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("p")
        await incoming.write(b"MZ" + b"x" * 600_000)
        with pytest.raises(ProofRefused):
            await incoming.finish()
    assert object_store.requests == []


async def test_a_missing_proof_is_not_found(store: BucketStore) -> None:
    proof = replace(await keep(store, PDF), key="0" * 32)
    assert await store.find(proof.key) is None
    with pytest.raises(ProofMissing):
        await find_whole(store, proof)
    with pytest.raises(ProofMissing):
        await read(store, proof)


async def test_the_last_piece_of_a_damaged_proof_is_not_read(
    object_store: ObjectStore, store: BucketStore
) -> None:
    proof = await keep(store, PDF + b"x" * 600_000)
    name = f"{PREFIX}/{proof.key}"
    object_store.objects[name] = StoredObject(PDF + b"y" * 600_000, datetime.now(UTC))
    assert 0 < len(await read_until_damaged(store, proof)) < proof.size


@pytest.mark.parametrize("key", ["", "../x", "a" * 31, "A" * 32, "a" * 32 + "\n", "a/" * 16])
async def test_an_invalid_key_is_refused(store: BucketStore, key: str) -> None:
    with pytest.raises(ValueError, match="not the key"):
        store.begin(key)
    with pytest.raises(ValueError, match="not the key"):
        await store.find(key)


async def test_old_proofs_are_listed_by_the_clock_of_the_store(
    object_store: ObjectStore, store: BucketStore
) -> None:
    hour = timedelta(hours=1)
    assert await older_than(store, hour) == []
    old = [await keep(store, PDF) for _ in range(5)]
    await keep(store, PDF)
    objects = object_store.objects
    for proof in old:
        name = f"{PREFIX}/{proof.key}"
        objects[name] = replace(objects[name], modified=datetime.now(UTC) - 2 * hour)
    for other in (f"{PREFIX}/notes.txt", f"{PREFIX}/below/{'0' * 32}", "0" * 32):
        objects[other] = StoredObject(b"not the store's", datetime.now(UTC) - 2 * hour)
    assert sorted(await older_than(store, hour)) == sorted(proof.key for proof in old)
    assert len(objects) == 9


async def test_a_proof_is_removed_once_or_again(
    object_store: ObjectStore, store: BucketStore
) -> None:
    proof = await keep(store, PDF)
    for _ in range(2):
        await stores.remove(store, proof.key)
        assert object_store.contents() == {}


async def test_wrong_credentials_are_refused(object_store: ObjectStore) -> None:
    store = bucket_of(object_store, aws_secret_access_key="wrong")
    with pytest.raises(StorageUnavailable, match="SignatureDoesNotMatch"):
        await keep(store, PDF)
    with pytest.raises(StorageUnavailable, match="403"):
        await store.find("0" * 32)
    await stores.remove(store, "0" * 32)
    assert object_store.contents() == {}


async def test_a_bucket_that_is_gone_takes_nothing(
    object_store: ObjectStore, store: BucketStore
) -> None:
    object_store.buckets.clear()
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await keep(store, PDF)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await store.list()


async def test_no_server_is_unavailable(object_store: ObjectStore) -> None:
    store = bucket_of(object_store, aws_endpoint_url_s3="http://127.0.0.1:9", proof_store_timeout=1)
    with pytest.raises(StorageUnavailable, match="error sending request"):
        await keep(store, PDF)


async def test_a_store_that_does_not_answer_is_unavailable(object_store: ObjectStore) -> None:
    store = replace(bucket_of(object_store), timeout=0.2)
    object_store.answers.clear()
    begun = asyncio.get_running_loop().time()
    with pytest.raises(StorageUnavailable, match="no answer of the object store"):
        await store.find("0" * 32)
    assert asyncio.get_running_loop().time() - begun < 1


@pytest.mark.parametrize("size", [1000, 6_000_000])
async def test_an_upload_that_is_cut_leaves_no_proof_and_succeeds_again(
    object_store: ObjectStore, store: BucketStore, size: int
) -> None:
    content = PDF + b"x" * size
    object_store.cuts_bodies = True
    with pytest.raises(StorageUnavailable):
        await keep(store, content)
    assert object_store.contents() == {}
    object_store.cuts_bodies = False
    assert await read(store, await keep(store, content)) == content


async def test_the_disk_of_temporary_files_is_gone(
    store: BucketStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageUnavailable):
        await keep(store, PDF)
