"""Proofs of payment in a real object store, Ceph's RADOS Gateway."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import AnyHttpUrl, SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.doctor import proofs as doctor
from app.payments.actions.copy_proofs import copy_proofs
from app.payments.models import Payment
from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import ProofStore, older_than, read_verified
from app.payments.proofs import Proof
from app.settings import Settings
from app.storage import StorageUnavailable
from app.urls import BucketUrl
from tests.doctor.results import collect, is_well
from tests.payments.payment_case import PROOF, PaymentCase
from tests.support.ceph import create_bucket, run_ceph
from tests.support.factories import Factories
from tests.support.object_store import ACCESS_KEY, REGION, SECRET_KEY
from tests.support.proxy import Proxy, http_proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PDF = b"%PDF-1.7\n"


@pytest.fixture(scope="module")
def ceph(child_processes: None) -> Iterator[str]:
    with run_ceph() as url:
        yield url


@pytest.fixture
async def proxy(ceph: str) -> AsyncIterator[Proxy]:
    async with http_proxy(ceph) as proxy:
        yield proxy


@pytest.fixture
async def settings(settings: Settings, ceph: str, proxy: Proxy) -> Settings:
    """Settings of a service with a bucket of the test's own, which it reaches through a proxy."""
    bucket = f"proofs-{uuid4().hex}"
    await asyncio.to_thread(create_bucket, ceph, bucket)
    changed = {
        "proof_store": BucketUrl(bucket, "some/prefix"),
        "aws_endpoint_url_s3": AnyHttpUrl(proxy.url),
        "aws_region": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SecretStr(SECRET_KEY),
        "proof_store_timeout": 3,
        "proof_max_bytes": 20_000_000,
    }
    return settings.model_copy(update=changed)


@pytest.fixture
def store(settings: Settings) -> ProofStore:
    return open_store(settings)


@pytest.fixture
async def case(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> PaymentCase:
    return await PaymentCase.prepare(client, connection, make)


async def keep(store: ProofStore, content: bytes) -> Proof:
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("proof.pdf")
        await incoming.write(content)
        return await incoming.finish()


async def read(store: ProofStore, proof: Proof) -> bytes:
    async with aclosing(read_verified(store, proof)) as pieces:
        return b"".join([piece async for piece in pieces])


@pytest.mark.parametrize("size", [10, 12_000_000])
async def test_a_proof_is_stored_read_listed_and_deleted(store: ProofStore, size: int) -> None:
    content = PDF + os.urandom(size)
    proof = await keep(store, content)
    assert await read(store, proof) == content
    assert b"".join([piece async for piece in store.read(proof.key, size)]) == content[size:]
    assert set(await store.list()) == {proof.key}
    assert await older_than(store, timedelta(hours=1)) == []
    assert await older_than(store, timedelta(hours=-1)) == [proof.key]
    for _ in range(2):
        await store.delete(proof.key)
        assert await store.find(proof.key) is None


async def test_the_doctor_finds_the_bucket_well(settings: Settings) -> None:
    assert is_well(await collect(doctor.store(settings)))


async def test_wrong_credentials_are_refused(settings: Settings) -> None:
    for wrong, reason in (
        ({"aws_secret_access_key": SecretStr("wrong")}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "unknown"}, "InvalidAccessKeyId"),
    ):
        store = open_store(settings.model_copy(update=wrong))
        with pytest.raises(StorageUnavailable, match=reason):
            await keep(store, PDF)
        with pytest.raises(StorageUnavailable, match=reason):
            await store.list()
        with pytest.raises(StorageUnavailable, match="403"):
            await store.find("0" * 32)


async def test_a_bucket_that_is_gone_is_unavailable(settings: Settings) -> None:
    store = open_store(settings.model_copy(update={"proof_store": BucketUrl("gone")}))
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await keep(store, PDF)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await store.list()


async def test_a_payment_has_its_proof(case: PaymentCase, store: ProofStore) -> None:
    assert set(await case.is_taken()) == set(await store.list())
    payment = (await case.connection.execute(select(Payment.uuid))).scalar_one()
    path = f"/api/payments/{payment}/proof/"
    assert (await case.client.get(path)).content == PROOF
    part = await case.client.get(path, headers={"Range": "bytes=1000000-1000004"})
    assert (part.status_code, part.content) == (206, PROOF[1_000_000:1_000_005])


async def test_a_connection_that_is_cut_during_the_upload(
    case: PaymentCase, store: ProofStore, proxy: Proxy
) -> None:
    async def cut_each() -> None:
        while True:
            proxy.next_request_limit = 500_000
            await asyncio.sleep(0)

    cutting = asyncio.create_task(cut_each())
    await asyncio.sleep(0)
    await case.is_refused()
    cutting.cancel()
    assert proxy.cuts > 0
    proxy.next_request_limit = None
    proxy.cut_all()
    assert await store.list() == {}
    assert set(await case.is_taken()) == set(await store.list())


async def test_a_store_that_does_not_answer(
    case: PaymentCase, store: ProofStore, proxy: Proxy
) -> None:
    proxy.forwards_replies.clear()
    await case.is_refused()
    proxy.forwards_replies.set()
    await case.client.get("/api/invoices/")
    proofs = await case.is_taken()
    # The object of the first request may be there, too: the sweep removes it.
    assert proofs.keys() <= (await store.list()).keys()


async def test_proofs_are_copied_from_a_folder_and_back(
    database: Database, settings: Settings, store: ProofStore
) -> None:
    folder = FolderStore(settings.proof_dir, settings.proof_max_bytes)
    proofs = [await keep(folder, PDF + b"%d" % number) for number in range(20)]
    proofs.append(await keep(folder, PDF + os.urandom(11_000_000)))
    outcome = await copy_proofs(database, folder, store)
    assert (outcome.copied, outcome.present) == (21, 0)
    outcome = await copy_proofs(database, folder, store)
    assert (outcome.copied, outcome.present) == (0, 21)
    other = replace(folder, directory=settings.proof_dir.with_name("back"))
    await copy_proofs(database, store, other)
    for proof in proofs:
        assert other.path(proof.key).read_bytes() == folder.path(proof.key).read_bytes()
