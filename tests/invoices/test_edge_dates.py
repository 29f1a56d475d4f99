"""The first and the last days of the calendar are days like all others."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.periods import Period
from app.database.engine import Database
from app.dataio.jsonl.importer import import_file
from app.invoices.jobs.close_month import close_month, find_close_status
from app.invoices.models import Invoice
from app.payments.models import Payment
from app.settings import Settings
from tests.support.factories import Factories, UserRow

FIRST, LAST = "0001-01-01", "9999-12-31"
FIRST_TIME, LAST_TIME = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"


@pytest.fixture
async def staff(client: httpx.AsyncClient, make: Factories) -> UserRow:
    """Staff, as whom the client calls."""
    staff = await make.staff()
    client.headers.update(staff.headers)
    return staff


async def imported(database: Database, settings: Settings, place: Path, **item: Any) -> str:
    """Import an issued invoice with one item, and return its UUID."""
    customer, profile, invoice = (str(uuid4()) for _ in range(3))
    records = [
        {"kind": "customer", "uuid": customer, "name": "A", "created_at": FIRST_TIME,
         "accounting_start_date": LAST_TIME},
        {"kind": "payment_profile", "uuid": profile, "customer": customer,
         "payment_type": "invoices"},
        {"kind": "invoice", "uuid": invoice, "customer": customer, "year": 1, "month": 1,
         "state": "created", "created": FIRST, "invoice_date": FIRST, "due_date": LAST},
        {"kind": "invoice_item", "uuid": str(uuid4()), "invoice": invoice, "name": "I",
         "unit_price": "1", "quantity": "1", "unit": "month",
         "start": FIRST_TIME, "end": LAST_TIME} | item,
    ]  # fmt: skip
    file = place / "edges.jsonl"
    file.write_text("\n".join(map(json.dumps, records)))
    await import_file(database, settings, str(file))
    return invoice


@pytest.mark.usefixtures("staff")
async def test_an_imported_item_of_all_time_is_listed_shown_and_paid(
    client: httpx.AsyncClient, database: Database, settings: Settings, tmp_path: Path
) -> None:
    path = f"/api/invoices/{await imported(database, settings, tmp_path)}/"
    (listed,) = (await client.get("/api/invoices/")).json()
    shown = (await client.get(path)).json()
    assert shown == listed
    assert (shown["invoice_date"], shown["due_date"]) == (FIRST, LAST)
    (item,) = (await client.get(f"{path}items/")).json()
    assert (item["start"], item["end"]) == (FIRST_TIME, LAST_TIME)
    paid = await client.post(f"{path}paid/", json={"date": LAST})
    assert paid.status_code == 200
    assert paid.json()["items"] == [item]
    (version, *_) = (await client.get(f"{path}history/")).json()
    data = version["serialized_data"]
    assert (data["created"], data["invoice_date"], data["due_date"]) == (FIRST, FIRST, LAST)
    (payment,) = data["changes"]["payments"]
    assert payment["became"]["date_of_payment"] == LAST
    then = await client.get(f"{path}history/at/", params={"timestamp": LAST_TIME})
    (item_then,) = then.json()["serialized_data"]["items"]
    assert (item_then["start"], item_then["end"]) == (FIRST_TIME, LAST_TIME)


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("day", [FIRST, LAST])
async def test_a_payment_of_the_first_or_the_last_day_is_of_that_day(
    client: httpx.AsyncClient, make: Factories, connection: AsyncConnection, day: str
) -> None:
    invoice = await make.payable_invoice()
    answer = await client.post(f"/api/invoices/{invoice.uuid}/paid/", json={"date": day})
    assert answer.status_code == 200
    stored = (await connection.execute(select(Payment.date_of_payment))).scalar_one()
    assert stored == date.fromisoformat(day)
    finite = text("SELECT isfinite(date_of_payment) FROM payments")
    assert (await connection.execute(finite)).scalar_one()


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"start_date={FIRST}", 1),
        (f"start_date={LAST}", 0),
        (f"end_date={LAST}", 1),
        (f"end_date={FIRST}", 0),
        (f"created={FIRST}", 1),
        (f"created={LAST}", 1),
        (f"start_date={FIRST}&end_date={LAST}", 0),
    ],
)
async def test_filters_take_the_first_and_the_last_day(
    client: httpx.AsyncClient, make: Factories, query: str, found: int
) -> None:
    customer = await make.customer()
    await make.invoice(customer, Period(2026, 1), created=date.min)
    await make.invoice(customer, Period(2026, 2), created=date.max)
    answer = await client.get(f"/api/invoices/?{query}")
    assert answer.status_code == 200
    assert len(answer.json()) == found


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize(
    "moment",
    [
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-10:00",
        "10000-01-01T00:00:00Z",
        "2026-11-05T23:59:60Z",
        "2026-11-05T25:00:00Z",
        "infinity",
        "-infinity",
        "0044-03-15T00:00:00Z BC",
    ],
)
@pytest.mark.parametrize("parameter", ["created_after", "created_before", "timestamp"])
async def test_a_time_that_is_none_is_refused(
    client: httpx.AsyncClient, make: Factories, parameter: str, moment: str
) -> None:
    invoice = await make.invoice(await make.customer())
    path = f"/api/invoices/{invoice.uuid}/history/"
    if parameter == "timestamp":
        path += "at/"
    answer = await client.get(path, params={parameter: moment})
    assert answer.status_code == 400
    assert answer.json() == {parameter: ["Enter a valid date/time."]}


@pytest.mark.usefixtures("staff")
async def test_sealed_entries_of_older_releases_show_the_intended_dates(
    client: httpx.AsyncClient, make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer())
    await connection.execute(
        text(
            "INSERT INTO invoice_changes (change, invoice_uuid, kind, subject, became)"
            " VALUES (gen_random_uuid(), :invoice, 'payment', gen_random_uuid(),"
            """ '{"date_of_payment": "infinity", "created_at": "-infinity"}')"""
        ),
        {"invoice": invoice.uuid},
    )
    await connection.execute(
        text(
            "INSERT INTO invoice_history (change, invoice_uuid, sequence, recorded_at, data,"
            " previous, hash) SELECT change, invoice_uuid, 9, now(), NULL, '', '' FROM"
            " invoice_changes WHERE kind = 'payment'"
        )
    )
    (version, *_) = (await client.get(f"/api/invoices/{invoice.uuid}/history/")).json()
    (payment,) = version["serialized_data"]["changes"]["payments"]
    assert payment["became"] == {"date_of_payment": LAST, "created_at": FIRST_TIME}


async def test_the_last_month_is_closed_and_due_on_the_last_day(
    database: Database, settings: Settings, make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(), Period(9999, 11))
    clock.freeze(datetime(9999, 12, 20, tzinfo=UTC))
    summary = await close_month(database, settings)
    assert not summary.failures
    statement = select(Invoice.invoice_date, Invoice.due_date).where(Invoice.id == invoice.id)
    assert (await connection.execute(statement)).one() == (date(9999, 12, 20), date.max)


@pytest.mark.usefixtures("staff")
@pytest.mark.parametrize("now", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_growth_is_told_at_both_ends_of_the_calendar(
    client: httpx.AsyncClient, make: Factories, now: datetime
) -> None:
    await make.invoice(await make.customer(), Period.containing(now))
    clock.freeze(now)
    answer = await client.get("/api/invoices/growth/")
    assert answer.status_code == 200
    assert len(answer.json()["total_periods"]) == 13


async def test_nothing_is_closed_before_the_first_month(
    connection: AsyncConnection, make: Factories
) -> None:
    await make.invoice(await make.customer(), Period(1, 1))
    assert (await find_close_status(connection, 10)).last_closed == Period(1, 1)
