"""One invoice, whole: every documented field, in its order, written as documented."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.enums import BillingType, BillingUnit, InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.main import create_app
from app.settings import IssuerDetails, Settings
from tests.support.clients import BASE, client_of
from tests.support.factories import Factories
from tests.support.history import KEY

NOBODYS = "5c3f2a10-0000-4000-8000-000000000000"
RESOURCE = "0c0a2b4e5d6f4a1b8c9d0e1f2a3b4c5d"


async def test_the_whole_of_an_invoice(make: Factories, client: httpx.AsyncClient) -> None:
    customer = await make.customer(
        name="Õäöü <b>",
        address="Street 1",
        postal="10001",
        phone_number="+372",
        bank_name="B",
        bank_account="EE00",
        vat_code="EE1",
        email="a@example.com",
    )
    project = await make.project(customer, name="Genome")
    offering = await make.offering(customer)
    resource = await make.resource(project, offering, name="vm-1")
    component = await make.component(offering, billing_type=BillingType.USAGE)
    plan_component = await make.plan_component(await make.plan(offering), component)
    invoice = await make.invoice(customer, state=InvoiceState.CREATED, backend_id="B-1")
    backend_uuid = uuid4()
    item = await make.item(
        invoice,
        "33.3333333333",
        quantity=Decimal("0.97"),
        unit=BillingUnit.MONTH,
        project_id=project.id,
        project_name="Genome",
        resource_id=resource.id,
        plan_component_id=plan_component.id,
        backend_uuid=backend_uuid,
        name="CPU",
        article_code="ART",
        measured_unit="cores",
        start=datetime(2026, 10, 5, 12, tzinfo=UTC),
        details={"resource_uuid": RESOURCE, "plan_uuid": "not one", "own": [1]},
    )
    answer = await client.get(
        f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert "Õäöü".encode() in answer.content
    body = answer.json()
    number = body.pop("number")
    assert number > 100000
    assert list(answer.json()) == [
        "url", "uuid", "number", "customer", "price", "tax", "total", "state", "year", "month",
        "issuer_details", "invoice_date", "due_date", "customer_details", "items", "backend_id",
        "payment_url", "reference_number", "compensations", "incurred_costs",
    ]  # fmt: skip
    assert body == {
        "url": f"{BASE}/api/invoices/{invoice.uuid}/",
        "uuid": str(invoice.uuid),
        "customer": f"{BASE}/api/customers/{customer.uuid}/",
        "price": "32.3400000000",
        "tax": "6.4680000000",
        "total": "38.8080000000",
        "state": "created",
        "year": 2026,
        "month": 10,
        "issuer_details": IssuerDetails().model_dump(),
        "invoice_date": "2026-11-01",
        "due_date": "2026-12-01",
        "customer_details": {
            "name": "Õäöü <b>",
            "address": "Street 1",
            "country": "EE",
            "country_name": "Estonia",
            "email": "a@example.com",
            "postal": "10001",
            "phone_number": "+372",
            "bank_name": "B",
            "bank_account": "EE00",
            "vat_code": "EE1",
        },
        "items": [
            {
                "uuid": str(item.uuid),
                "url": f"{BASE}/api/invoice-items/{item.uuid}/",
                "name": "CPU",
                "price": 32.34,
                "tax": "6.47",
                "total": "38.81",
                "unit_price": "33.3333333333",
                "unit": "month",
                "measured_unit": "cores",
                "start": "2026-10-05T12:00:00Z",
                "end": "2026-10-31T23:59:59.999999Z",
                "article_code": "ART",
                "project_name": "Genome",
                "project_uuid": str(project.uuid),
                "quantity": "0.9700000000",
                "details": {
                    "resource_uuid": "0c0a2b4e-5d6f-4a1b-8c9d-0e1f2a3b4c5d",
                    "plan_uuid": "not one",
                    "own": [1],
                },
                "resource": f"{BASE}/api/marketplace-resources/{resource.uuid}/",
                "resource_uuid": str(resource.uuid),
                "resource_name": "vm-1",
                "billing_type": "usage",
                "backend_uuid": str(backend_uuid),
                "credit": False,
            }
        ],
        "backend_id": "B-1",
        "payment_url": "",
        "reference_number": "",
        "compensations": 0.0,
        "incurred_costs": 32.333333333301,
    }
    assert list(body["items"][0]) == [
        "uuid", "url", "name", "price", "tax", "total", "unit_price", "unit", "measured_unit",
        "start", "end", "article_code", "project_name", "project_uuid", "quantity", "details",
        "resource", "resource_uuid", "resource_name", "billing_type", "backend_uuid", "credit",
    ]  # fmt: skip


async def test_missing_values_have_their_documented_form(
    make: Factories, client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer(country="", email=""))
    await make.item(invoice, "7", quantity=Decimal(2), unit=BillingUnit.DAY)
    answer = await client.get(
        f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
    )
    body = answer.json()
    assert body["invoice_date"] is None
    assert "due_date" not in body
    assert body["customer_details"]["country_name"] is None
    assert body["customer_details"]["vat_code"] == ""
    item = body["items"][0]
    assert list(item) == [
        "uuid", "url", "name", "price", "tax", "total", "unit_price", "unit", "factor",
        "measured_unit", "start", "end", "article_code", "project_name", "quantity", "details",
        "resource", "backend_uuid", "credit",
    ]  # fmt: skip
    assert item["factor"] == 2
    assert item["measured_unit"] == "days"
    assert item["project_name"] == "N/A"
    assert item["resource"] is None
    assert item["backend_uuid"] is None
    assert item["details"] == {}


async def test_zero_is_written_without_an_exponent(
    make: Factories, client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, "0.0000000001", quantity=Decimal("0.0000001"))
    await make.item(invoice, "0")
    answer = await client.get(
        f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
    )
    (item,) = answer.json()["items"]  # what costs nothing is not shown
    assert item["unit_price"] == "0.0000000001"
    assert item["quantity"] == "0.0000001000"
    assert item["price"] == 0.01
    empty = await make.invoice(await make.customer())
    answer = await client.get(f"/api/invoices/{empty.uuid}/", headers=(await make.staff()).headers)
    assert answer.json()["price"] == "0.0000000000"
    assert answer.json()["items"] == []


async def test_a_removed_project_and_a_plan_component_without_component(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    project = await make.project(customer, name="Now")
    stored = uuid4()
    invoice = await make.invoice(customer)
    plan_component = await make.plan_component(await make.plan(await make.offering(customer)), None)
    await make.item(invoice, name="a", project_id=project.id, project_name="Then")
    await make.item(invoice, name="b", project_id=project.id, plan_component_id=plan_component.id)
    await make.item(invoice, name="c", project_name="Gone", project_uuid=stored)
    answer = await client.get(
        f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
    )
    shown = {item["name"]: item for item in answer.json()["items"]}
    assert list(shown) == ["b", "c", "a"]  # by stored project name: "", "Gone", "Then"
    assert (shown["a"]["project_name"], shown["a"]["project_uuid"]) == ("Then", str(project.uuid))
    assert (shown["b"]["project_name"], shown["b"]["project_uuid"]) == ("Now", str(project.uuid))
    assert (shown["c"]["project_name"], shown["c"]["project_uuid"]) == ("Gone", str(stored))
    assert "billing_type" not in shown["b"]


async def test_items_are_in_code_point_order(make: Factories, client: httpx.AsyncClient) -> None:
    invoice = await make.invoice(await make.customer())
    names = ["b", "B", "ä", "a", "Z", "a"]
    made = [await make.item(invoice, name=name) for name in names]
    answer = await client.get(
        f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
    )
    items = answer.json()["items"]
    assert [item["name"] for item in items] == ["B", "Z", "a", "a", "b", "ä"]
    assert [item["uuid"] for item in items if item["name"] == "a"] == [
        str(made[3].uuid), str(made[5].uuid),
    ]  # fmt: skip


async def test_compensations_and_rounding(make: Factories, client: httpx.AsyncClient) -> None:
    invoice = await make.invoice(await make.customer(), tax_percent=Decimal(25))
    await make.item(invoice, "0.001")
    await make.item(invoice, "-2.005", credit=True, name="Back")
    answer = await client.get(
        f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
    )
    body = answer.json()
    assert (body["price"], body["tax"], body["total"]) == (
        "-2.0000000000", "-0.5000000000", "-2.5000000000",
    )  # fmt: skip
    assert (body["incurred_costs"], body["compensations"]) == (0.001, -2.005)
    back, charge = body["items"]
    assert (back["credit"], back["price"], back["tax"], back["total"]) == (
        True, -2.01, "-0.50", "-2.51",
    )  # fmt: skip
    assert (charge["price"], charge["tax"], charge["total"]) == (0.01, "0.00", "0.01")


@pytest.mark.parametrize("written", ["hex", "upper", "hyphens"])
async def test_a_uuid_in_any_form(written: str, make: Factories, client: httpx.AsyncClient) -> None:
    invoice = await make.invoice(await make.customer())
    text = {"hex": invoice.uuid.hex, "upper": str(invoice.uuid).upper()}.get(
        written, str(invoice.uuid)
    )
    answer = await client.get(
        f"/api/invoices/{text}/?field=uuid", headers=(await make.staff()).headers
    )
    assert answer.json() == {"uuid": str(invoice.uuid)}


@pytest.mark.parametrize(
    "uuid", ["abc", NOBODYS, f"({NOBODYS})", f"urn:uuid:{NOBODYS}", "%00", "growths"]
)
async def test_an_invoice_that_does_not_exist_is_not_found(
    uuid: str, make: Factories, client: httpx.AsyncClient
) -> None:
    answer = await client.get(f"/api/invoices/{uuid}/", headers=(await make.staff()).headers)
    assert answer.status_code == 404
    assert answer.json() == {"detail": "No Invoice matches the given query."}


async def test_only_the_fields_asked_for(
    make: Factories, client: httpx.AsyncClient, statements: list[str]
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice)
    headers = (await make.staff()).headers
    url = f"/api/invoices/{invoice.uuid}/"

    answer = await client.get(url + "?field=year&field=nonsense&field=uuid", headers=headers)
    assert list(answer.json()) == ["uuid", "year"]  # in the documented order
    assert len(statements) == 2  # the caller, the invoice
    assert "customers" not in statements[1]
    assert "invoice_items" not in statements[1]

    statements.clear()
    answer = await client.get(url + "?field=nonsense", headers=headers)
    assert len(answer.json()) == 19  # all but the due date
    # Which invoice; and where it is not kept, in one snapshot: which, what of it, its items.
    assert len(statements) == 4
    statements.clear()
    again = await client.get(url, headers=headers)
    assert again.content == answer.content
    assert len(statements) == 1

    statements.clear()
    answer = await client.get(url + "?field=items", headers=headers)
    assert list(answer.json()) == ["items"]
    assert "customers" not in statements[0]


async def test_the_filters_of_the_list_must_match(
    make: Factories, client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer(), Period(2026, 10))
    headers = (await make.staff()).headers
    url = f"/api/invoices/{invoice.uuid}/"
    assert (await client.get(url + "?state=pending&year=2026", headers=headers)).is_success
    answer = await client.get(url + "?state=paid", headers=headers)
    assert answer.status_code == 404
    assert answer.json() == {"detail": "No Invoice matches the given query."}
    answer = await client.get(url + "?state=bogus&created=x&o=uuid", headers=headers)
    assert answer.status_code == 400
    assert answer.json() == {
        "state": ["Select a valid choice. bogus is not one of the available choices."],
        "created": ["Enter a valid date."],
        "o": ["Select a valid choice. uuid is not one of the available choices."],
    }


async def test_head_has_the_headers_of_get(make: Factories, client: httpx.AsyncClient) -> None:
    invoice = await make.invoice(await make.customer())
    headers = (await make.staff()).headers
    answer = await client.head(f"/api/invoices/{invoice.uuid}/", headers=headers)
    assert answer.status_code == 200
    answer = await client.head(f"/api/invoices/{uuid4()}/", headers=headers)
    assert answer.status_code == 404


async def test_a_backend_uuid_has_hyphens_where_other_uuids_have_none(
    make: Factories, settings: Settings, database: Database
) -> None:
    """As in Waldur, whose clients compare it with what they got from elsewhere."""
    headers = (await make.staff()).headers
    backend_uuid = uuid4()
    async with audited_transaction(database, KEY, Actor("import")) as within:
        made = Factories(within)
        invoice = await made.invoice(await made.customer())
        item = await made.item(invoice, backend_uuid=backend_uuid)
    app = create_app(settings.model_copy(update={"wire_uuid_style": "hex"}))
    async with app.router.lifespan_context(app), client_of(app, headers=headers) as client:
        path = f"/api/invoices/{invoice.uuid}/"
        whole = (await client.get(path)).json()
        then = (await client.get(f"{path}history/at/?timestamp=9999-01-01")).json()
        items = (await client.get(f"{path}items/")).json()
    [change] = then["serialized_data"]["changes"]["items"]
    recorded = then["serialized_data"]["items"]
    for shown in (*whole["items"], *items, *recorded, change["became"]):
        assert shown["uuid"] == item.uuid.hex
        assert shown["backend_uuid"] == str(backend_uuid)


async def test_details_of_the_issuer_for_documents_are_sent_only_if_they_are_set(
    make: Factories, settings: Settings
) -> None:
    invoice = await make.invoice(await make.customer())
    headers = (await make.staff()).headers
    issuer = {"name": "We", "city": "Tartu", "bic": "EXMPEE2X", "contact_name": ""}
    changed = settings.model_copy(update={"issuer_details": IssuerDetails.model_validate(issuer)})
    app: FastAPI = create_app(changed)
    async with app.router.lifespan_context(app), client_of(app) as client:
        answer = await client.get(f"/api/invoices/{invoice.uuid}/", headers=headers)
    details = answer.json()["issuer_details"]
    assert details == IssuerDetails().model_dump() | {
        "name": "We", "city": "Tartu", "bic": "EXMPEE2X",
    }  # fmt: skip
    assert "contact_name" not in details


async def test_hexadecimal_uuids_and_other_bases(make: Factories, settings: Settings) -> None:
    customer = await make.customer()
    project = await make.project(customer)
    resource = await make.resource(project, await make.offering(customer))
    invoice = await make.invoice(customer)
    item = await make.item(
        invoice, project_id=project.id, resource_id=resource.id,
        details={"resource_uuid": str(resource.uuid), "plan_uuid": None},
    )  # fmt: skip
    changed = settings.model_copy(
        update={
            "wire_uuid_style": "hex",
            "public_url": "https://bills.example/x",
            "platform_url": "https://cloud.example",
            "issuer_details": IssuerDetails.model_validate({"name": "We", "phone": {"a": 1}}),
        }
    )
    app: FastAPI = create_app(changed)
    async with app.router.lifespan_context(app), client_of(app) as client:
        answer = await client.get(
            f"/api/invoices/{invoice.uuid}/", headers=(await make.staff()).headers
        )
    body = answer.json()
    assert body["uuid"] == invoice.uuid.hex
    assert body["url"] == f"https://bills.example/x/api/invoices/{invoice.uuid.hex}/"
    assert body["customer"] == f"https://cloud.example/api/customers/{customer.uuid.hex}/"
    assert body["issuer_details"]["phone"] == {"a": 1}
    shown = body["items"][0]
    assert shown["url"] == f"https://bills.example/x/api/invoice-items/{item.uuid.hex}/"
    assert shown["project_uuid"] == project.uuid.hex
    assert shown["resource"] == (
        f"https://cloud.example/api/marketplace-resources/{resource.uuid.hex}/"
    )
    assert shown["details"] == {"resource_uuid": resource.uuid.hex}
