"""The list of payments and one payment: fields, filters, access, conditional requests."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import httpx
import pytest

from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

URL = "/api/payments/"
NIL = "00000000-0000-0000-0000-000000000000"
PROOF = {
    "proof_key": "k",
    "proof_name": "slip.pdf",
    "proof_media_type": "application/pdf",
    "proof_size": 4,
    "proof_sha256": "0" * 64,
}


async def uuids(client: httpx.AsyncClient, headers: dict[str, str], query: str = "") -> list[UUID]:
    answer = await client.get(f"{URL}?{query}", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-result-count"] == str(len(answer.json()))
    return [UUID(row["uuid"]) for row in answer.json()]


async def test_a_payment_of_an_invoice_shows_its_invoice_and_proof(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    profile = await make.profile(customer)
    invoice = await make.invoice(customer, Period(2026, 2), InvoiceState.PAID)
    payment = await make.payment(profile, invoice_id=invoice.id, sum=Decimal("999.99"), **PROOF)
    staff = await make.staff()
    answer = await client.get(f"{URL}{payment.uuid}/", headers=staff.headers)
    assert answer.status_code == 200
    assert answer.json() == {
        "uuid": str(payment.uuid),
        "url": f"{BASE}/api/payments/{payment.uuid}/",
        "profile": f"{BASE}/api/payment-profiles/{profile.uuid}/",
        "date_of_payment": "2026-11-05",
        "sum": "999.99",
        "proof": f"{BASE}/api/payments/{payment.uuid}/proof/",
        "invoice": f"{BASE}/api/invoices/{invoice.uuid}/",
        "invoice_uuid": str(invoice.uuid),
        "invoice_period": "02-2026",
        "customer_uuid": str(customer.uuid),
    }
    assert (await client.get(URL, headers=staff.headers)).json() == [answer.json()]


async def test_a_payment_without_an_invoice_has_the_nil_uuid(
    make: Factories, client: httpx.AsyncClient
) -> None:
    payment = await make.payment(await make.profile(await make.customer()))
    staff = await make.staff()
    shown = (await client.get(f"{URL}{payment.uuid.hex}/", headers=staff.headers)).json()
    assert (shown["invoice"], shown["invoice_uuid"], shown["invoice_period"]) == (None, NIL, None)
    assert shown["proof"] is None


@pytest.mark.parametrize(("currency", "shown"), [("JPY", "10"), ("EUR", "10.00")])
async def test_the_sum_has_the_decimals_of_the_currency(
    currency: str, shown: str, make: Factories, app: object, client: httpx.AsyncClient
) -> None:
    app.state.settings = app.state.settings.model_copy(update={"currency": get_currency(currency)})  # type: ignore[attr-defined]
    await make.payment(await make.profile(await make.customer()))
    answer = await client.get(URL, headers=(await make.staff()).headers)
    assert answer.json()[0]["sum"] == shown


async def test_payments_are_ordered_by_creation_and_filtered(
    make: Factories, client: httpx.AsyncClient
) -> None:
    staff = await make.staff()
    one = await make.profile(await make.customer())
    other = await make.profile(await make.customer())
    first = await make.payment(one, date_of_payment=date(2026, 3, 1))
    second = await make.payment(other, date_of_payment=date(2026, 1, 1))
    third = await make.payment(one, date_of_payment=date(2026, 1, 1))

    async def found(query: str) -> list[UUID]:
        return await uuids(client, staff.headers, query)

    assert await found("") == [first.uuid, second.uuid, third.uuid]
    assert await found("date_of_payment=2026-1-1") == [second.uuid, third.uuid]
    assert await found(f"profile_uuid={one.uuid.hex}") == [first.uuid, third.uuid]
    url = f"http://elsewhere/api/payment-profiles/{one.uuid}/?x=1"
    assert await found(f"profile={url}&date_of_payment=2026-01-01") == [third.uuid]
    assert await found("profile=plain-text") == []
    assert await found(f"profile=/api/customers/{NIL}/") == []
    assert await found("profile=&profile_uuid=&date_of_payment=&unknown=1") == [
        first.uuid,
        second.uuid,
        third.uuid,
    ]


async def test_all_wrong_filters_are_reported_together(
    make: Factories, client: httpx.AsyncClient
) -> None:
    staff = await make.staff()
    answer = await client.get(
        f"{URL}?date_of_payment=2026-02-30&profile_uuid=x", headers=staff.headers
    )
    assert answer.status_code == 400
    assert answer.json() == {
        "date_of_payment": ["Enter a valid date."],
        "profile_uuid": ["Enter a valid UUID."],
    }


async def test_customers_see_their_own_payments_only(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    profile = await make.profile(customer)
    former = await make.profile(customer, is_active=False)
    seen = [await make.payment(profile), await make.payment(former)]
    hidden = await make.payment(await make.profile(await make.customer()))
    owner, support, stranger = (
        await make.owner(customer),
        await make.support(),
        await make.user(),
    )
    assert await uuids(client, owner.headers) == [row.uuid for row in seen]
    assert await uuids(client, support.headers) == [row.uuid for row in (*seen, hidden)]
    assert await uuids(client, stranger.headers) == []
    answer = await client.get(f"{URL}{hidden.uuid}/", headers=owner.headers)
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "No Payment matches the given query."},
    )


async def test_an_etag_holds_until_the_payment_or_the_list_changes(
    make: Factories, client: httpx.AsyncClient
) -> None:
    profile = await make.profile(await make.customer())
    payment: Row = await make.payment(profile)
    staff = await make.staff()
    for url in (URL, f"{URL}{payment.uuid}/"):
        first = await client.get(url, headers=staff.headers)
        current = staff.headers | {"If-None-Match": first.headers["etag"]}
        assert (await client.get(url, headers=current)).status_code == 304
        head = await client.head(url, headers=staff.headers)
        assert head.headers["etag"] == first.headers["etag"]
        assert "content-type" not in head.headers
    await make.payment(profile)
    listed = await client.get(URL, headers=staff.headers)
    assert listed.headers["x-result-count"] == "2"
