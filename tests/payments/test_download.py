"""Downloads of proofs by those who see the payment: the same bytes, as an attachment."""

from contextlib import closing
from uuid import uuid4

import httpx
import pytest

from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proofs import Proof
from app.settings import Settings
from tests.support.factories import Factories, Row

PDF = b"%PDF-1.7\n\0\xff" + b"x" * 5000
NO_PAYMENT = {"detail": "No Payment with a proof matches the given query."}


@pytest.fixture
async def proof(settings: Settings) -> Proof:
    store = FolderStore(settings.proof_dir, settings.proof_max_bytes)
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin('quittung "õ".pdf')
        await incoming.write(PDF)
        return await incoming.finish()


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def payment(make: Factories, customer: Row, proof: Proof) -> Row:
    return await make.payment(
        await make.profile(customer),
        proof_key=proof.key,
        proof_name=proof.name,
        proof_media_type=proof.media_type,
        proof_size=proof.size,
        proof_sha256=proof.sha256,
    )


async def test_staff_downloads_a_proof(
    client: httpx.AsyncClient, make: Factories, payment: Row
) -> None:
    headers = (await make.staff()).headers | {"Accept-Encoding": "identity"}
    path = f"/api/payments/{payment.uuid}/proof/"
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 200
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == (
        "attachment; filename*=utf-8''quittung%20%22%C3%B5%22.pdf"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-store"

    head = await client.head(path, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(PDF))

    part = await client.get(path, headers=headers | {"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"%PDF")


@pytest.mark.parametrize("asked", ["bytes=5-3", "bytes=", "bytes", "bytes=x-y", "bytes=-"])
async def test_a_range_that_is_malformed_is_refused(
    client: httpx.AsyncClient, make: Factories, payment: Row, asked: str
) -> None:
    headers = (await make.staff()).headers | {"Range": asked}
    answer = await client.get(f"/api/payments/{payment.uuid}/proof/", headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {"detail": "The Range header is malformed."}


@pytest.mark.parametrize("asked", [f"bytes={len(PDF)}-", "bytes=0-1,9000-", "bytes=-0"])
async def test_a_range_outside_of_the_proof_is_refused_with_its_size(
    client: httpx.AsyncClient, make: Factories, payment: Row, asked: str
) -> None:
    headers = (await make.staff()).headers | {"Range": asked}
    answer = await client.get(f"/api/payments/{payment.uuid}/proof/", headers=headers)
    assert answer.status_code == 416
    detail = f"The range lies outside of the proof, which has {len(PDF)} bytes."
    assert answer.json() == {"detail": detail}
    assert answer.headers["content-range"] == f"bytes */{len(PDF)}"


async def test_a_range_of_an_unknown_unit_is_ignored(
    client: httpx.AsyncClient, make: Factories, payment: Row
) -> None:
    headers = (await make.staff()).headers | {"Range": "pages=1-2"}
    answer = await client.get(f"/api/payments/{payment.uuid}/proof/", headers=headers)
    assert (answer.status_code, answer.content) == (200, PDF)


async def test_a_missing_payment_or_proof_is_not_found(
    client: httpx.AsyncClient, make: Factories, payment: Row
) -> None:
    headers = (await make.staff()).headers
    bare = await make.payment(await make.profile(await make.customer()))
    for uuid in (bare.uuid, uuid4(), "malformed"):
        answer = await client.get(f"/api/payments/{uuid}/proof/", headers=headers)
        assert (answer.status_code, answer.json()) == (404, NO_PAYMENT)


async def test_those_who_see_the_payment_download_its_proof(
    client: httpx.AsyncClient, make: Factories, customer: Row, payment: Row
) -> None:
    path = f"/api/payments/{payment.uuid}/proof/"
    for user in (await make.support(), await make.owner(customer)):
        answer = await client.get(path, headers=user.headers)
        assert (answer.status_code, answer.content) == (200, PDF)


async def test_nobody_else_downloads_it(
    client: httpx.AsyncClient, make: Factories, payment: Row
) -> None:
    path = f"/api/payments/{payment.uuid}/proof/"
    assert (await client.get(path)).status_code == 401
    stranger = await make.owner(await make.customer())
    answer = await client.get(path, headers=stranger.headers)
    assert (answer.status_code, answer.json()) == (404, NO_PAYMENT)
