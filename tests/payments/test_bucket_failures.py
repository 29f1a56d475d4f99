"""Payments with proofs in a bucket: 503 while the store fails, and nothing is recorded."""

from base64 import b64encode
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.dataio.jsonl.exporter import ProofUnreadable, export_lines
from app.payments.jobs.sweep_proofs import SAFE_AGE, sweep_proofs
from app.payments.models import Payment
from app.settings import Settings
from tests.dataio.record_factories import (
    PDF,
    build_customer,
    build_payment,
    build_profile,
    import_records,
)
from tests.payments.payment_case import PROOF, UNAVAILABLE, PaymentCase
from tests.support.factories import Factories
from tests.support.object_store import ObjectStore


@pytest.fixture
def settings(settings: Settings, object_store: ObjectStore) -> Settings:
    return settings.model_copy(update=object_store.settings("p"))


@pytest.fixture
async def case(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> PaymentCase:
    return await PaymentCase.prepare(client, connection, make)


async def is_taken(case: PaymentCase, object_store: ObjectStore) -> None:
    """See that the payment succeeds, and that only its proof is in the bucket."""
    taken = await case.is_taken()
    assert object_store.contents() == {f"p/{key}": proof for key, proof in taken.items()}


async def proof_path(case: PaymentCase) -> str:
    payment = (await case.connection.execute(select(Payment.uuid))).scalar_one()
    return f"/api/payments/{payment}/proof/"


async def test_a_bucket_that_is_gone(case: PaymentCase, object_store: ObjectStore) -> None:
    objects = object_store.buckets.pop("bucket")
    await case.is_refused()
    object_store.buckets["bucket"] = objects
    await is_taken(case, object_store)


async def test_a_connection_that_is_cut_during_the_upload(
    case: PaymentCase, object_store: ObjectStore
) -> None:
    object_store.cuts_bodies = True
    await case.is_refused()
    assert object_store.contents() == {}
    object_store.cuts_bodies = False
    await is_taken(case, object_store)


async def test_a_store_that_does_not_answer(
    case: PaymentCase, object_store: ObjectStore, app: FastAPI
) -> None:
    app.state.proof_store = replace(app.state.proof_store, timeout=0.2)
    object_store.answers.clear()
    await case.is_refused()
    object_store.answers.set()


async def test_a_refused_payment_leaves_no_object(
    case: PaymentCase, object_store: ObjectStore
) -> None:
    case.client.headers["If-Match"] = '"another state"'
    assert (await case.pay()).status_code == 412
    assert object_store.contents() == {}


async def test_a_proof_is_downloaded_whole_and_in_parts(
    case: PaymentCase, object_store: ObjectStore
) -> None:
    await is_taken(case, object_store)
    path = await proof_path(case)
    case.client.headers["Accept-Encoding"] = "identity"
    answer = await case.client.get(path)
    assert (answer.status_code, answer.content) == (200, PROOF)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="p.pdf"'

    head = await case.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(PROOF))

    part = await case.client.get(path, headers={"Range": "bytes=1000000-1000004"})
    assert (part.status_code, part.content) == (206, PROOF[1_000_000:1_000_005])
    parts = await case.client.get(path, headers={"Range": "bytes=0-3,-2"})
    assert parts.status_code == 206
    assert b"%PDF" in parts.content
    outside = await case.client.get(path, headers={"Range": f"bytes={len(PROOF)}-"})
    assert outside.status_code == 416


async def test_a_missing_or_truncated_object_is_unavailable(
    case: PaymentCase, object_store: ObjectStore
) -> None:
    await is_taken(case, object_store)
    path = await proof_path(case)
    ((name, stored),) = object_store.objects.items()
    for damaged in ({}, {name: replace(stored, content=PROOF[:-1])}):
        object_store.buckets["bucket"] = damaged
        for method in ("GET", "HEAD"):
            answer = await case.client.request(method, path)
            assert answer.status_code == 503
            assert method == "HEAD" or answer.json() == UNAVAILABLE


async def test_a_damaged_proof_is_not_downloaded_to_its_end(
    case: PaymentCase, object_store: ObjectStore, api_url: str
) -> None:
    await is_taken(case, object_store)
    ((name, stored),) = object_store.objects.items()
    object_store.objects[name] = replace(stored, content=PROOF[:-1] + b"!")
    async with httpx.AsyncClient(base_url=api_url, headers=case.client.headers) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(await proof_path(case))
        assert (await client.head(await proof_path(case))).status_code == 200


async def test_the_sweep_removes_old_objects_without_a_payment(
    case: PaymentCase, object_store: ObjectStore, database: Database, settings: Settings
) -> None:
    await is_taken(case, object_store)
    ((named, stored),) = object_store.objects.items()
    old = replace(stored, modified=stored.modified - 2 * SAFE_AGE)
    object_store.objects.update({named: old, f"p/{'0' * 32}": old, f"p/{'1' * 32}": stored})
    summary = await sweep_proofs(database, settings)
    assert summary.counts == {"removed": 1}
    assert object_store.objects.keys() == {named, f"p/{'1' * 32}"}


async def test_proofs_are_imported_and_exported(
    database: Database, settings: Settings, object_store: ObjectStore
) -> None:
    customer = build_customer()
    profile = build_profile(customer)
    payment = build_payment(profile)
    for _ in range(2):  # the second import leaves the proof as it is
        await import_records(database, settings, [customer, profile, payment])
        assert list(object_store.contents().values()) == [PDF]
    lines = b"".join([piece async for piece in export_lines(database, settings)])
    assert b64encode(PDF) in lines
    object_store.objects.clear()
    with pytest.raises(ProofUnreadable, match="is missing"):
        async for _ in export_lines(database, settings):
            pass
