"""The records that are imported from a Waldur."""

from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.dataio.waldur.local_state import CUSTOMER_DETAILS
from tests.dataio.waldur.conftest import Import, dump
from tests.support.factories import Factories
from tests.support.waldur import add_rows, execute
from tests.support.waldur_sample import KEYS, invoice, item, uid


async def rows(connection: AsyncConnection, statement: str) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(text(statement))).mappings()]


async def one(connection: AsyncConnection, statement: str) -> dict[str, Any]:
    (row,) = await rows(connection, statement)
    return row


async def test_every_kind_is_imported(bring: Import, connection: AsyncConnection) -> None:
    report = await bring()
    here = await dump(connection)
    assert {name: len(found) for name, found in here.items() if found} == {
        "users": 3,
        "tokens": 3,
        "customers": 2,
        "customer_roles": 2,
        "access_subnets": 1,
        "projects": 1,
        "project_roles": 1,
        "service_providers": 1,
        "categories": 1,
        "offerings": 2,
        "offering_components": 1,
        "plans": 1,
        "plan_components": 2,
        "resources": 1,
        "payment_profiles": 2,
        "customer_credits": 1,
        "project_credits": 1,
        "credit_transactions": 2,
        "customer_credit_offerings": 1,
        "document_lines": 2,
        "invoice_documents": 2,
        "invoices": 3,
        "invoice_items": 4,
        "payments": 1,
        "outbox": 1,  # the job that stores the documents for reads
    }
    assert sum(report.new.values()) == 36
    assert not +report.updated
    assert not +report.unchanged


async def test_a_customer_is_imported_with_its_address(
    bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    customer = await one(connection, "SELECT * FROM customers WHERE name = 'buyer'")
    del customer["id"]
    start = datetime(2025, 3, 1, 8, tzinfo=UTC)
    assert customer == {
        "uuid": UUID(uid("buyer")),
        "name": "buyer",
        "native_name": "Pirc\u0113js",
        "abbreviation": "B",
        "slug": "buyer",
        "registration_code": "40003",
        "agreement_number": "A-7",
        "backend_id": "erp-1",
        "contact_details": "Ask for Olga.",
        "email": "bills@buyer.example",
        "phone_number": "+371 20 00 00 00",
        "address": "Harbour road 3",
        "postal": "LV-1010",
        "country": "LV",
        "bank_name": "Harbour bank",
        "bank_account": "LV00 0000",
        "vat_code": "LV123",
        "default_tax_percent": Decimal("21.00"),
        "accounting_start_date": start,
        "archived": False,
        "display_billing_info_in_projects": True,
        "created_at": start,
        "source": None,
    } | dict.fromkeys((column.key for column in CUSTOMER_DETAILS), "")


async def test_keys_are_imported_as_digests_with_their_expiry(
    bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    tokens = await rows(
        connection,
        "SELECT username, digest, expires_at FROM tokens JOIN users ON users.id = user_id"
        " ORDER BY username",
    )
    digests = {name: sha256(key.encode()).hexdigest() for name, key in KEYS.items()}
    assert [(each["username"], each["digest"], each["expires_at"]) for each in tokens] == [
        ("olga", digests["olga"], None),
        ("rita", digests["rita"], datetime(2025, 3, 1, 9, tzinfo=UTC)),
        ("root", digests["root"], None),
    ]
    everything = str(await dump(connection))
    assert not any(key in everything for key in KEYS.values())


async def test_roles_in_projects_are_imported(bring: Import, connection: AsyncConnection) -> None:
    await bring()
    role = await one(
        connection,
        "SELECT username, name, role, project_roles.is_active, expires_at FROM project_roles"
        " JOIN users ON users.id = user_id JOIN projects ON projects.id = project_id",
    )
    assert tuple(role.values()) == ("rita", "Sea", "admin", True, None)


async def test_roles_at_customers_are_imported_and_others_are_reported(
    bring: Import, connection: AsyncConnection
) -> None:
    report = await bring()
    assert await rows(
        connection,
        "SELECT username, role, customer_roles.is_active, expires_at FROM customer_roles"
        " JOIN users ON users.id = user_id ORDER BY username",
    ) == [
        {"username": "olga", "role": "owner", "is_active": True, "expires_at": None},
        {
            "username": "rita",
            "role": "reader",
            "is_active": False,
            "expires_at": datetime(2026, 6, 1, tzinfo=UTC),
        },
    ]
    counts = {why: omission.count for (_, why), omission in report.skipped.items()}
    assert counts["a role at marketplace.offering gives no access here"] == 1
    assert counts["the role CUSTOMER.AUDITOR gives no access here"] == 1


async def test_rows_that_cannot_be_imported_are_reported(bring: Import) -> None:
    report = await bring()
    left_out = {kind: omission for (kind, _), omission in report.skipped.items()}
    assert left_out["proof_of_payment"].examples == ["proofs/scan.pdf"]
    lines = list(report.lines())
    assert "  1 proof of payment: the file is not in Waldur's database (proofs/scan.pdf)" in lines


async def test_invoices_are_imported_with_number_dates_and_totals(
    bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    found = await rows(
        connection,
        "SELECT number, year, month, state, created, invoice_date, due_date, reference_number,"
        " source, total_price, total_cost, revision = imported_revision AS unchanged"
        " FROM invoices ORDER BY number",
    )
    common = {"year": 2026, "source": "waldur", "unchanged": True}
    assert found == [
        {
            "number": 100001,
            "month": 1,
            "state": "paid",
            "created": date(2026, 1, 1),
            "invoice_date": date(2026, 2, 1),
            "due_date": date(2026, 3, 3),
            "reference_number": "R-1",
            "total_price": Decimal("12.50"),
            "total_cost": Decimal("15.13"),
            **common,
        },
        {
            "number": 100002,
            "month": 2,
            "state": "created",
            "created": date(2026, 2, 1),
            "invoice_date": date(2026, 3, 1),
            "due_date": date(2026, 3, 31),
            "reference_number": "",
            "total_price": Decimal("12.00"),
            "total_cost": Decimal("14.52"),
            **common,
        },
        {
            "number": 100003,
            "month": 3,
            "state": "pending",
            "created": date(2026, 3, 1),
            "invoice_date": None,
            "due_date": None,
            "reference_number": "",
            "total_price": Decimal("12.50"),
            "total_cost": Decimal("15.13"),
            **common,
        },
    ]
    following = await connection.scalar(text("SELECT nextval('invoice_numbers')"))
    assert following == 100004


async def test_items_refer_to_the_records_in_their_details(
    bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    found = await rows(
        connection,
        "SELECT item.name, offering.name AS offering, component.price, credit, item.details,"
        " customer_credit_id IS NOT NULL AS has_credit, project_uuid FROM invoice_items AS item"
        " LEFT JOIN offerings AS offering ON offering.id = item.offering_id"
        " LEFT JOIN plan_components AS component ON component.id = plan_component_id"
        " ORDER BY item.id",
    )
    details = {
        "plan_component_id": 51,
        "offering_uuid": uid("cloud").replace("-", ""),
        "rate": 0.1,
    }
    sea = UUID(uid("sea"))
    assert [tuple(each.values()) for each in found] == [
        ("Cores 101", "Cloud", Decimal("1.25"), False, details, False, sea),
        ("Cores 102", "Cloud", Decimal("1.25"), False, details, False, sea),
        ("Compensation", None, None, True, {}, True, sea),
        (
            "Cores 104",
            None,
            None,
            False,
            {"plan_component_id": 999, "offering_uuid": "none"},
            False,
            sea,
        ),
    ]


async def test_an_inactive_profile_is_imported_as_inactive(
    bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    assert await rows(
        connection,
        "SELECT name, payment_type, is_active, attributes FROM payment_profiles ORDER BY name",
    ) == [
        {
            "name": "By invoice",
            "payment_type": "invoices",
            "is_active": True,
            "attributes": {"note": "net 30"},
        },
        {
            "name": "Contract",
            "payment_type": "fixed_price",
            "is_active": False,
            "attributes": {},
        },
    ]


async def test_an_invoice_with_an_invalid_item_is_not_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await add_rows(waldur, "invoices_invoice", invoice(4), invoice(5), invoice(6, state="odd"))
    await add_rows(
        waldur,
        "invoices_invoiceitem",
        item(201, 4),
        item(202, 4, unit="fortnight"),
        item(203, 5, article_code="x" * 31),
    )
    report = await bring()
    numbers = await rows(connection, "SELECT number FROM invoices ORDER BY number")
    assert [each["number"] for each in numbers] == [100001, 100002, 100003]
    counts = {
        why: omission.examples
        for (kind, why), omission in report.skipped.items()
        if kind == "invoice"
    }
    assert counts == {
        "the state 'odd' is unknown": ["number 100006"],
        f"its item {uid('item-202')}: the unit 'fortnight' is unknown": ["number 100004"],
        f"its item {uid('item-203')}: article_code: String should have at most 30 characters": [
            "number 100005"
        ],
    }
    assert report.skipped["invoice_item", "its invoice was not imported"].count == 3


async def test_rows_that_name_an_invalid_row_are_not_imported(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE structure_customer SET address = repeat('x', 301) WHERE id = 11")
    report = await bring()
    kinds = {kind for kind, _ in report.skipped}
    assert {"customer", "project", "customer_role", "resource", "invoice", "payment"} <= kinds
    assert await rows(connection, "SELECT 1 FROM invoices") == []
    assert [each["name"] for each in await rows(connection, "SELECT name FROM customers")] == [
        "seller"
    ]


async def test_an_invoice_with_a_total_that_is_too_large_is_not_imported(
    waldur: str, bring: Import
) -> None:
    await add_rows(waldur, "invoices_invoice", invoice(4))
    huge = "999999999999.0000000000"
    await add_rows(waldur, "invoices_invoiceitem", item(201, 4, unit_price=huge, quantity=huge))
    report = await bring()
    reason = "its items add up to more than an invoice can hold"
    assert report.skipped["invoice", reason].examples == ["number 100004"]


async def test_the_old_keys_remain_valid(
    bring: Import, connection: AsyncConnection, client: httpx.AsyncClient
) -> None:
    await bring()

    async def numbers(name: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Token {KEYS[name]}"}
        answer = await client.get("/api/invoices/?field=number", headers=headers)
        return answer.status_code, answer.json()

    every = [{"number": number} for number in (100003, 100002, 100001)]
    assert await numbers("root") == (200, every)
    assert await numbers("olga") == (200, every)
    assert await numbers("rita") == (401, {"detail": "Token has expired."})


async def test_a_user_with_the_same_name_here_stays(
    bring: Import, connection: AsyncConnection, make: Factories
) -> None:
    await make.user(username="olga", full_name="Another Olga")
    report = await bring()
    reason = "another user has this username"
    assert report.skipped["user", reason].examples == [uid("olga")]
    names = await rows(connection, "SELECT full_name FROM users WHERE username = 'olga'")
    assert names == [{"full_name": "Another Olga"}]
    assert {kind for kind, _ in report.skipped} >= {"token", "customer_role"}
