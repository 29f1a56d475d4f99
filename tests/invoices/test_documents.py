"""Downloads of the documents of issued invoices: PDF, and XML in each profile."""

import asyncio
from collections.abc import Awaitable
from decimal import Decimal
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from lxml import etree
from pypdf import PdfReader
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.database import import_lock
from app.database.engine import Database
from app.documents.pdf.errors import PdfProcessDied
from app.documents.profiles import PROFILES, Profile
from app.invoices.actions.freeze import find_or_freeze
from app.settings import Settings
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories, Row, UserRow
from tests.support.frozen import frozen_documents
from tests.support.issued import COMPLETE, issue_invoice, issuing
from tests.support.worker import until


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


@pytest.fixture
async def invoice(make: Factories, settings: Settings) -> Row:
    return await issue_invoice(make, settings, "10", "-2.5", "0", number=100001)


def path(invoice: Row, kind: str) -> str:
    return f"/api/invoices/{invoice.uuid}/{kind}/"


async def get(client: httpx.AsyncClient, user: UserRow, url: str, **headers: str) -> httpx.Response:
    return await client.get(url, headers=user.headers | headers)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.label)
async def test_the_official_rules_accept_each_profile(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row, profile: Profile
) -> None:
    url = f"{path(invoice, profile.syntax)}?profile={profile.name}"
    response = await get(client, staff, url)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/xml"
    name = f"invoice-100001-{profile.label}.xml"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert not judge(response.content, profile).fatal


async def test_the_profile_is_en16931_by_default(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row
) -> None:
    for kind in ("ubl", "cii"):
        default = await get(client, staff, path(invoice, kind))
        named = await get(client, staff, f"{path(invoice, kind)}?profile=en16931")
        assert default.content == named.content
        assert default.headers["etag"] == named.headers["etag"]


async def test_an_unknown_profile_is_refused(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row
) -> None:
    for url in (f"{path(invoice, 'ubl')}?profile=x", f"{path(invoice, 'cii')}?profile=peppol"):
        response = await get(client, staff, url)
        assert response.status_code == 400
        (message,) = response.json()["profile"]
        assert message.startswith("Select a valid choice.")


async def test_the_pdf_has_the_e_invoice_inside(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row
) -> None:
    response = await get(client, staff, path(invoice, "pdf"))
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/pdf"
    assert response.headers["content-disposition"] == 'attachment; filename="invoice-100001.pdf"'
    reader = PdfReader(BytesIO(response.content))
    assert "Invoice 100001" in reader.pages[0].extract_text()
    xml = await get(client, staff, path(invoice, "cii"))
    assert reader.attachments["factur-x.xml"] == [xml.content]


async def test_a_pdf_without_the_data_of_an_e_invoice_has_none_inside(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, settings: Settings
) -> None:
    invoice = await issue_invoice(make, settings, customer=await make.customer(country=""))
    response = await get(client, staff, path(invoice, "pdf"))
    assert response.status_code == 200
    assert not PdfReader(BytesIO(response.content)).attachments


async def test_all_missing_data_is_listed(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, settings: Settings
) -> None:
    values = COMPLETE | {"city": "", "buyer_reference": ""}
    customer = await make.customer(**values)
    invoice = await issue_invoice(make, settings, customer=customer, number=100001)
    url = f"{path(invoice, 'ubl')}?profile=xrechnung"
    response = await get(client, staff, url)
    assert response.status_code == 409
    place = f"customer {customer.uuid}, field {{}}, by an import of customers"
    place += ", then `python -m app document complete 100001`"
    assert response.json() == {
        "detail": "Invoice 100001 cannot be written as xrechnung: 2 values are missing or wrong.",
        "problems": [
            {
                "term": "BT-52",
                "rule": "BR-DE-8",
                "of": "customer",
                "field": "city",
                "where": place.format("city"),
                "message": "The city of the buyer is missing.",
            },
            {
                "term": "BT-10",
                "rule": "BR-DE-15",
                "of": "customer",
                "field": "buyer_reference",
                "where": place.format("buyer_reference"),
                "message": "The reference of the buyer is missing.",
            },
        ],
    }
    head = await client.head(url, headers=staff.headers)
    assert head.status_code == 409
    assert (await get(client, staff, path(invoice, "ubl"))).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_every_tag_matches_a_document_that_can_be_written_alone(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, settings: Settings, method: str
) -> None:
    customer = await make.customer(**COMPLETE | {"buyer_reference": ""})
    written = await issue_invoice(make, settings, customer=customer)
    pending = await make.invoice(customer, month=1)
    headers = staff.headers | {"If-None-Match": "*"}
    statuses = {
        url: (await client.request(method, url, headers=headers)).status_code
        for invoice in (written, pending)
        for url in (
            path(invoice, "pdf"),
            path(invoice, "ubl"),
            path(invoice, "cii"),
            f"{path(invoice, 'ubl')}?profile=xrechnung",
            f"{path(invoice, 'cii')}?profile=xrechnung",
        )
    }
    assert list(statuses.values()) == [304, 304, 304, 409, 409] + 5 * [409]


@pytest.mark.parametrize("kind", ["pdf", "ubl", "cii"])
async def test_an_invoice_has_no_document_before_it_is_issued(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, kind: str
) -> None:
    invoice = await make.invoice(await make.customer(), number=100001)
    response = await get(client, staff, path(invoice, kind))
    assert response.status_code == 409
    assert response.json() == {"detail": "Invoice 100001 is not issued: it has no document yet."}


async def test_a_pending_invoice_that_was_canceled_has_no_document(
    client: httpx.AsyncClient, staff: UserRow, make: Factories
) -> None:
    state = InvoiceState.CANCELED
    invoice = await make.invoice(await make.customer(), state=state, invoice_date=None)
    assert (await get(client, staff, path(invoice, "pdf"))).status_code == 409


@pytest.mark.parametrize("kind", ["pdf", "ubl", "cii"])
async def test_only_those_who_see_the_invoice_get_its_documents(
    client: httpx.AsyncClient, make: Factories, settings: Settings, kind: str
) -> None:
    customer = await make.customer(**COMPLETE)
    invoice = await issue_invoice(make, settings, customer=customer)
    owner, stranger = await make.owner(customer), await make.user()
    assert (await get(client, owner, path(invoice, kind))).status_code == 200
    for answer in (
        await get(client, stranger, path(invoice, kind)),
        await get(client, owner, f"/api/invoices/{uuid4()}/{kind}/"),
        await get(client, owner, f"/api/invoices/none/{kind}/"),
    ):
        assert answer.status_code == 404
        assert answer.json() == {"detail": "No Invoice matches the given query."}
    assert (await client.get(path(invoice, kind))).status_code == 401


@pytest.mark.parametrize("kind", ["pdf", "ubl", "cii"])
async def test_a_current_copy_is_not_rendered_again(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row, kind: str, statements: list[str]
) -> None:
    first = await get(client, staff, path(invoice, kind))
    etag = first.headers["etag"]
    assert etag.startswith('"')
    statements.clear()
    again = await get(client, staff, path(invoice, kind), **{"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    assert not any("document_lines" in statement for statement in statements)
    # The token, the invoice, and its document.
    assert len(statements) <= 3


async def test_each_representation_has_its_own_etag(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row
) -> None:
    urls = [path(invoice, "pdf")] + [
        f"{path(invoice, profile.syntax)}?profile={profile.name}" for profile in PROFILES
    ]
    responses = [await client.head(url, headers=staff.headers) for url in urls]
    assert {each.status_code for each in responses} == {200}
    assert len({each.headers["etag"] for each in responses}) == len(urls)


async def test_another_reference_number_makes_another_document(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row
) -> None:
    before = await get(client, staff, path(invoice, "ubl"))
    changed = await client.post(
        f"/api/invoices/{invoice.uuid}/set_reference_number/",
        json={"reference_number": "R-77"},
        headers=staff.headers,
    )
    assert changed.status_code == 200
    after = await get(client, staff, path(invoice, "ubl"))
    assert after.headers["etag"] != before.headers["etag"]
    assert b"R-77" in after.content
    assert b"R-77" not in before.content


async def test_a_renamed_customer_changes_no_document(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row, connection: AsyncConnection
) -> None:
    before = await get(client, staff, path(invoice, "ubl"))
    await connection.execute(text("UPDATE customers SET name = 'Renamed'"))
    after = await get(client, staff, path(invoice, "ubl"))
    assert after.content == before.content
    assert after.headers["etag"] == before.headers["etag"]


async def test_the_lines_come_in_batches_in_the_order_of_the_api(
    client: httpx.AsyncClient,
    staff: UserRow,
    make: Factories,
    settings: Settings,
    statements: list[str],
) -> None:
    customer = await make.customer(**COMPLETE)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    names = [f"Service {number:03}" for number in reversed(range(250))]
    for name in names:
        await make.item(invoice, "1", name=name)
    await make.freeze(issuing(settings), invoice)
    small = await issue_invoice(make, settings, "1")
    other = await issue_invoice(make, settings, "2")
    await get(client, staff, path(other, "ubl"))  # reads the token once
    counts = []
    for each in (small, invoice):
        statements.clear()
        response = await get(client, staff, path(each, "ubl"))
        counts.append(len(statements))
    assert counts[0] == counts[1]
    names_found = etree.fromstring(response.content).xpath(
        "//*[local-name()='Item']/*[local-name()='Name']/text()"
    )
    assert names_found == sorted(names)


async def test_an_invoice_from_before_documents_is_frozen_at_once(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(**COMPLETE), state=InvoiceState.CREATED)
    await make.item(invoice, "10")
    response = await get(client, staff, path(invoice, "pdf"))
    assert response.status_code == 200, response.text
    version = text("SELECT document_version FROM invoices")
    assert (await connection.execute(version)).scalar_one() == 1


async def test_a_download_freezes_the_items_of_a_change_that_was_earlier(
    make: Factories, database: Database, settings: Settings, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await make.item(invoice, "10")

    async def waits() -> bool:
        waiting = text(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool((await connection.execute(waiting)).scalar_one())

    async with database.transaction() as changing:
        await Factories(changing).item(invoice, "5")
        download = asyncio.create_task(find_or_freeze(database, settings, invoice.id))
        await until(waits)
    assert (await download).document.net == 15
    (frozen,) = await frozen_documents(database)
    assert {line.price for line in frozen.lines} == {10, 5}


async def test_an_invoice_is_not_frozen_while_an_import_runs(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, database: Any
) -> None:
    invoice = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    async with database.transaction() as importing:
        await import_lock.lock_out_jobs(importing)
        response = await get(client, staff, path(invoice, "pdf"))
    assert response.status_code == 503
    assert response.headers["retry-after"] == "60"
    assert "import is running" in response.json()["detail"]


async def test_a_pdf_that_cannot_be_made_now_may_be_asked_for_again(
    app: FastAPI, client: httpx.AsyncClient, staff: UserRow, invoice: Row
) -> None:
    class Killed:
        async def make(self, *_arguments: object) -> bytes:
            raise PdfProcessDied("killed")

    app.state.pdf_maker = Killed()
    response = await get(client, staff, path(invoice, "pdf"))
    assert response.status_code == 503
    assert response.json() == {"detail": "The PDF of Invoice 100001 cannot be made now. Try again."}
    assert response.headers["retry-after"] == "5"


async def test_a_document_in_a_currency_with_three_decimals_has_only_a_pdf(
    client: httpx.AsyncClient, staff: UserRow, make: Factories, settings: Settings
) -> None:
    dinars = settings.model_copy(update={"currency": settings.currency.__class__("KWD", 3)})
    invoice = await issue_invoice(make, dinars, tax_percent=Decimal(20))
    assert (await get(client, staff, path(invoice, "pdf"))).status_code == 200
    response = await get(client, staff, path(invoice, "ubl"))
    assert response.status_code == 409
    assert response.json()["problems"][0]["where"] == "CURRENCY"


async def test_payment_urls_that_are_set_at_once_make_a_version_each(
    client: httpx.AsyncClient, staff: UserRow, invoice: Row, connection: AsyncConnection
) -> None:
    def set_url(number: int, etag: str | None = None) -> Awaitable[httpx.Response]:
        return client.post(
            f"/api/invoices/{invoice.uuid}/set_payment_url/",
            json={"payment_url": f"https://pay.example/{number}"},
            headers=staff.headers | ({"If-Match": etag} if etag else {}),
        )

    etag = (await get(client, staff, f"/api/invoices/{invoice.uuid}/")).headers["etag"]
    answers = await asyncio.gather(*(set_url(number) for number in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert (await set_url(5, etag)).status_code == 412
    found = await connection.execute(
        text("SELECT content ->> 'payment_url' FROM invoice_documents ORDER BY version")
    )
    urls = [*found.scalars()]
    assert sorted(urls) == ["", *(f"https://pay.example/{number}" for number in range(4))]
    shown = await get(client, staff, f"/api/invoices/{invoice.uuid}/")
    assert shown.json()["payment_url"] == urls[-1]
    assert urls[-1].encode() in (await get(client, staff, path(invoice, "ubl"))).content
