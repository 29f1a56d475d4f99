"""Payments with proofs in a bucket: 503 while the store fails, and nothing is recorded."""

from dataclasses import replace

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.payments.models import Payment
from app.settings import Settings
from tests.payments.payment_case import PROOF, UNAVAILABLE, PaymentCase
from tests.support.factories import Factories
from tests.support.object_store import ObjectStore


@pytest.fixture
def settings(settings: Settings, object_store: ObjectStore) -> Settings:
    return settings.model_copy(update={**object_store.settings("p"), "proof_store_timeout": 1})


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


async def test_a_store_that_does_not_answer(case: PaymentCase, object_store: ObjectStore) -> None:
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
