"""CURRENCY: its decimals in all that the service shows, and fixed once there is an invoice."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.cli.main import cli
from app.database.engine import Database
from app.doctor import work
from app.doctor.check_result import Level
from app.invoices.actions.set_currency import settle_currency, use_currency
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.queries.stored_currency import WrongCurrency, stored_currency
from app.main import create_app
from app.notifications import invoice_query
from app.notifications.rendering import InvoiceRenderer
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row
from tests.support.paths import ROOT
from tests.support.worker import until, worker_here

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("own_logs")


@pytest.fixture(autouse=True)
def _in_november() -> Iterator[None]:
    clock.freeze(NOW)
    yield
    clock.freeze(None)


def environment(settings: Settings, currency: str) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.database_url.replace("+asyncpg", ""),
        "REDIS_URL": settings.redis_url,
        "PROOF_DIR": str(settings.proof_dir),
        "MAIL_DIR": str(settings.mail_dir),
        "CURRENCY": currency,
    }


async def command(settings: Settings, currency: str, *arguments: str) -> Any:
    # In a thread, since a command runs an event loop of its own.
    return await asyncio.to_thread(
        CliRunner().invoke, cli, arguments, env=environment(settings, currency)
    )


def lines(file: Path, *records: dict[str, Any]) -> str:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def bill(
    *costs: str, state: str = "created", prices: dict[int, str] | None = None
) -> list[dict[str, Any]]:
    """Return the records of an invoice with 10 % of tax and an item for each cost."""
    customer, invoice = str(uuid4()), str(uuid4())
    category, offering = str(uuid4()), str(uuid4())
    issued = {"invoice_date": "2026-11-01", "due_date": "2026-12-01"}
    given = prices or {}
    return [
        {
            "kind": "customer", "uuid": customer, "name": "Ltd", "email": "a@example.com",
            "accounting_start_date": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
        },
        {"kind": "category", "uuid": category, "title": "Compute"},
        {
            "kind": "offering", "uuid": offering, "name": "VM", "category": category,
            "created_at": "2026-01-01T00:00:00Z",
        },
        {
            "kind": "payment_profile", "uuid": str(uuid4()), "customer": customer,
            "payment_type": "invoices",
        },
        {
            "kind": "invoice", "uuid": invoice, "customer": customer, "year": 2026, "month": 10,
            "tax_percent": "10", "created": "2026-10-01", "state": state,
            **(issued if state == "created" else {}),
        },
        *(
            {
                "kind": "invoice_item", "uuid": str(uuid4()), "invoice": invoice,
                "name": f"Item {number}", "unit_price": cost, "quantity": "1", "unit": "quantity",
                "start": "2026-10-01T00:00:00Z", "end": "2026-10-31T23:59:59Z",
                "offering": offering,
                **({"price": given[number]} if number in given else {}),
            }
            for number, cost in enumerate(costs)
        ),
    ]  # fmt: skip


@asynccontextmanager
async def api(settings: Settings, make: Factories, currency: str) -> AsyncIterator[Any]:
    """A client of the API of a deployment with a currency; it is staff."""
    app = create_app(settings.model_copy(update={"currency": currency}))
    key = "k" * 40
    await make.token(await make.user(is_staff=True), key)
    async with app.router.lifespan_context(app), client_of(app) as client:
        client.headers["Authorization"] = f"Token {key}"
        yield client


async def imported(
    settings: Settings, currency: str, tmp_path: Path, records: list[dict[str, Any]]
) -> str:
    """Import records by the command; return the UUID of the invoice."""
    answer = await command(settings, currency, "import", lines(tmp_path / "in.jsonl", *records))
    assert answer.exit_code == 0, answer.stderr
    (invoice,) = (record["uuid"] for record in records if record["kind"] == "invoice")
    return str(invoice)


async def get(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


CASES = pytest.mark.parametrize(
    ("currency", "costs", "shown"),
    [
        # 2346 and 10 %: 234.6, in all 2580.6.
        (
            "JPY", ("2344.1", "0.9"),
            {
                "prices": [2345, 1], "taxes": ["234", "0"], "totals": ["2580", "1"],
                "price": "2346.0000000000", "tax": "234.6000000000", "total": "2580.6000000000",
                "stats": (2346, 235, 2581), "paid": "2581", "due": "¥2,581",
            },
        ),
        # 1.236 and 10 %: 0.1236, in all 1.3596.
        (
            "BHD", ("1.2341", "0.0002"),
            {
                "prices": [1.235, 0.001], "taxes": ["0.124", "0.000"], "totals": ["1.358", "0.001"],
                "price": "1.2360000000", "tax": "0.1236000000", "total": "1.3596000000",
                "stats": (1.236, 0.124, 1.36), "paid": "1.360", "due": "BHD1.360",
            },
        ),
    ],
)  # fmt: skip


@CASES
async def test_amounts_on_the_wire_have_the_decimals_of_the_currency(
    settings: Settings,
    make: Factories,
    tmp_path: Path,
    *,
    currency: str,
    costs: tuple[str, ...],
    shown: dict[str, Any],
) -> None:
    uuid = await imported(settings, currency, tmp_path, bill(*costs))
    async with api(settings, make, currency) as client:
        document = await get(client, f"/api/invoices/{uuid}/")
        (listed,) = await get(client, "/api/invoices/", min_sum=shown["total"])
        assert listed == document
        assert await get(client, f"/api/invoices/{uuid}/items/") == document["items"]
        assert [item["price"] for item in document["items"]] == shown["prices"]
        assert [item["tax"] for item in document["items"]] == shown["taxes"]
        assert [item["total"] for item in document["items"]] == shown["totals"]
        assert {name: document[name] for name in ("price", "tax", "total")} == {
            name: shown[name] for name in ("price", "tax", "total")
        }
        (row,) = await get(client, f"/api/invoices/{uuid}/stats/")
        assert tuple(row[f"aggregated_{of}"] for of in ("price", "tax", "total")) == shown["stats"]


@CASES
async def test_what_is_paid_and_what_grows_is_rounded_half_up_to_the_decimals(
    settings: Settings,
    make: Factories,
    connection: AsyncConnection,
    tmp_path: Path,
    *,
    currency: str,
    costs: tuple[str, ...],
    shown: dict[str, Any],
) -> None:
    uuid = await imported(settings, currency, tmp_path, bill(*costs))
    async with api(settings, make, currency) as client:
        answer = await client.post(f"/api/invoices/{uuid}/paid/", json={"date": "2026-11-02"})
        assert answer.status_code == 200, answer.text
        growth = await get(client, "/api/invoices/growth/")
        assert growth["total_periods"][-2] == float(shown["paid"])
        assert growth["customer_periods"][0]["periods"][-2] == float(shown["paid"])
        [version, *_] = await get(client, f"/api/invoices/{uuid}/history/")
        (payment,) = version["serialized_data"]["changes"]["payments"]
        assert payment["became"]["sum"] == shown["paid"]
    found = await connection.execute(text("SELECT sum FROM payments"))
    assert found.scalar_one() == Decimal(shown["paid"])
    told = await command(settings, currency, "payment", "list")
    assert shown["paid"] in told.stdout.split()


@CASES
async def test_documents_and_mail_have_the_decimals_of_the_currency(
    settings: Settings,
    database: Database,
    connection: AsyncConnection,
    tmp_path: Path,
    *,
    currency: str,
    costs: tuple[str, ...],
    shown: dict[str, Any],
) -> None:
    await imported(settings, currency, tmp_path, bill(*costs))
    invoice_id = (await connection.execute(select(Invoice.id))).scalar_one()
    statement = await invoice_query.read_invoice_view(database, invoice_id, get_currency(currency))
    rendering = InvoiceRenderer(settings.model_copy(update={"currency": currency}), statement)
    assert shown["due"] in rendering.document()
    assert shown["due"] in rendering.text()
    assert f"{Decimal(str(shown['prices'][0])):,}" in rendering.document()


async def test_a_cost_export_is_rounded_to_the_decimals_of_the_currency(
    settings: Settings, connection: AsyncConnection, tmp_path: Path
) -> None:
    header = (
        "BilledCost,BillingAccountId,BillingAccountName,BillingCurrency,BillingPeriodStart,"
        "BillingPeriodEnd,ChargeCategory,ChargeDescription,ChargePeriodStart,ChargePeriodEnd,"
        "PricingUnit,PricingQuantity,ProviderName,ServiceCategory,ServiceName,ResourceId,"
        "SubAccountId,SubAccountName"
    )
    month = "2026-10-01T00:00:00Z,2026-11-01T00:00:00Z"
    rows = [
        f"{cost},a1,Org,{{code}},{month},Usage,VM,{month},Hours,1,Cloud,Compute,VM,r{number},s,Sub"
        for number, cost in enumerate(("987.6543", "0.6"))
    ]
    file = tmp_path / "bill.csv"
    file.write_text("\n".join([header, *rows]).format(code="JPY"))
    answer = await command(settings, "JPY", "import", "--format", "focus", str(file))
    assert answer.exit_code == 0, answer.stderr
    assert (await connection.execute(select(Invoice.total_price))).scalar_one() == 988
    file.write_text("\n".join([header, *rows]).format(code="EUR"))
    refused = await command(
        settings, "JPY", "import", "--format", "focus", "--currency", "EUR", str(file)
    )
    assert refused.exit_code == 1
    assert "EUR has 2 decimals, and JPY, the currency of this service's invoices" in refused.stderr


async def test_a_price_with_more_decimals_than_the_currency_is_refused_by_line(
    settings: Settings, tmp_path: Path
) -> None:
    records = bill("1.5", prices={0: "1.5"})
    answer = await command(settings, "JPY", "import", lines(tmp_path / "in.jsonl", *records))
    assert answer.exit_code == 1
    assert "line 6 (invoice_item" in answer.stderr
    assert "price: more than the 0 decimals of JPY" in answer.stderr


@pytest.mark.parametrize(("currency", "price"), [("JPY", "2"), ("BHD", "1.501"), ("EUR", "1.49")])
async def test_an_export_keeps_prices_and_comes_back_as_it_was(
    settings: Settings,
    second_database_url: str,
    tmp_path: Path,
    *,
    currency: str,
    price: str,
) -> None:
    await imported(settings, currency, tmp_path, bill("1.5", "1.5", prices={1: price}))
    exports: list[list[dict[str, Any]]] = []
    other = settings.model_copy(update={"database_url": second_database_url})
    for name, place in (("one", settings), ("two", other)):
        file = tmp_path / f"{name}.jsonl"
        if exports:
            answer = await command(place, currency, "import", str(tmp_path / "one.jsonl"))
            assert answer.exit_code == 0, answer.stderr
        answer = await command(place, currency, "export", "-o", str(file))
        assert answer.exit_code == 0, answer.stderr
        exports.append(
            [
                record
                for record in map(json.loads, file.read_text().splitlines())
                if not record["kind"].startswith("history")
            ]
        )
    assert exports[0] == exports[1]
    made, given = (Decimal(each["price"]) for each in exports[0] if each["kind"] == "invoice_item")
    assert made == {"JPY": 2, "BHD": Decimal("1.5"), "EUR": Decimal("1.5")}[currency]
    assert given == Decimal(price)


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "0"], ["worker"], ["run", "--port", "0"]]
)
async def test_another_currency_ends_the_start_with_one_line(
    settings: Settings, tmp_path: Path, arguments: list[str]
) -> None:
    await imported(settings, "EUR", tmp_path, bill("1"))
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={**os.environ} | environment(settings, "JPY"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert (
        "CURRENCY is JPY, but the invoices in the database are in EUR:"
        " set CURRENCY=EUR, or use another database."
    ) in process.stderr.splitlines()
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("arguments", [["job", "close_month"], ["import", "{file}"]])
async def test_another_currency_ends_a_command_that_may_add_invoices(
    settings: Settings, connection: AsyncConnection, tmp_path: Path, arguments: list[str]
) -> None:
    await imported(settings, "EUR", tmp_path, bill("1"))
    file = lines(tmp_path / "other.jsonl", *bill("2"))
    answer = await command(settings, "USD", *(each.format(file=file) for each in arguments))
    assert answer.exit_code == 1
    assert "CURRENCY is USD, but the invoices in the database are in EUR" in answer.stderr
    assert (await connection.execute(select(func.count()).select_from(Invoice))).scalar_one() == 1


async def test_the_currency_may_change_until_there_is_an_invoice(
    settings: Settings, database: Database, connection: AsyncConnection
) -> None:
    for code in ("EUR", "BHD", "JPY"):
        await settle_currency(database, settings.model_copy(update={"currency": code}))
        found = await stored_currency(connection)
        assert (found.code, found.decimals) == (code, get_currency(code).decimals)


async def test_a_database_with_invoices_and_no_currency_adopts_the_setting(
    settings: Settings, database: Database, connection: AsyncConnection, make: Factories
) -> None:
    await make.item(await make.invoice(await make.customer()), "1.234")
    await settle_currency(database, settings)
    assert (await stored_currency(connection)).code == "EUR"
    with pytest.raises(WrongCurrency):
        await settle_currency(database, settings.model_copy(update={"currency": "USD"}))


async def test_what_is_not_billed_yet_is_rounded_again_when_a_currency_is_adopted(
    settings: Settings, database: Database, connection: AsyncConnection, make: Factories
) -> None:
    customer = await make.customer()
    pending = await make.invoice(customer, tax_percent=Decimal(10))
    await connection.execute(update(Invoice).values(imported_revision=Invoice.revision + 1))
    await make.item(pending, "1234.56")
    issued = await make.invoice(
        await make.customer(), state=InvoiceState.CREATED, tax_percent=Decimal(10)
    )
    await make.item(issued, "1234.56")

    await settle_currency(database, settings.model_copy(update={"currency": "JPY"}))

    async def amounts(invoice: Row) -> tuple[Any, ...]:
        statement = (
            select(InvoiceItem.price, Invoice.total_price, Invoice.total_cost)
            .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
            .where(Invoice.id == invoice.id)
        )
        return tuple((await connection.execute(statement)).one())

    assert await amounts(pending) == (1235, 1235, 1359)
    assert await amounts(issued) == (Decimal("1234.56"), Decimal("1234.56"), 1358)
    same = select(Invoice.imported_revision == Invoice.revision).where(Invoice.id == pending.id)
    assert (await connection.execute(same)).scalar_one()


async def test_a_start_in_another_currency_waits_for_the_first_invoice_under_way(
    settings: Settings, database: Database, make: Factories
) -> None:
    customer = await make.customer()
    await settle_currency(database, settings)
    started = asyncio.Event()

    async def add_the_first_invoice() -> None:
        async with audited_transaction(database, settings.audit_key, Actor("test")) as connection:
            await use_currency(connection, get_currency("EUR"))
            started.set()
            await asyncio.sleep(0.5)
            await Factories(connection).invoice(customer)

    adding = asyncio.create_task(add_the_first_invoice())
    await started.wait()
    with pytest.raises(WrongCurrency):
        await settle_currency(database, settings.model_copy(update={"currency": "JPY"}))
    await adding


async def test_a_process_whose_currency_was_changed_adds_no_invoice(
    settings: Settings, database: Database, connection: AsyncConnection, tmp_path: Path
) -> None:
    await imported(settings, "EUR", tmp_path, bill("1"))
    with pytest.raises(WrongCurrency):
        async with audited_transaction(database, settings.audit_key, Actor("test")) as writing:
            await use_currency(writing, get_currency("USD"))


async def test_the_doctor_says_what_currency_it_is(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    (result,) = await work.currency(database, settings)
    assert (result.level, result.message) == (
        Level.WELL, "amounts will be in EUR from the next start on",
    )  # fmt: skip
    await imported(settings, "EUR", tmp_path, bill("1"))
    (result,) = await work.currency(database, settings)
    assert (result.level, result.message) == (Level.WELL, "amounts are in EUR, with 2 decimals")
    (result,) = await work.currency(database, settings.model_copy(update={"currency": "JPY"}))
    assert result.level is Level.WRONG
    assert result.message == "CURRENCY is JPY, but the invoices in the database are in EUR"


@pytest.mark.parametrize(("number", "fits"), [(10**15, True), (10**15 + 1, False)])
async def test_an_invoice_number_that_clients_would_not_read_exactly_is_refused_by_line(
    settings: Settings, tmp_path: Path, *, number: int, fits: bool
) -> None:
    records = bill("1")
    records[4]["number"] = number
    answer = await command(settings, "EUR", "import", lines(tmp_path / "in.jsonl", *records))
    assert (answer.exit_code == 0) is fits
    assert ("line 5: number: Input should be less than or equal to" in answer.stderr) is not fits


def test_the_openapi_document_has_the_decimals_of_the_currency(settings: Settings) -> None:
    patterns = {
        code: create_app(settings.model_copy(update={"currency": code})).openapi()["components"][
            "schemas"
        ]["InvoiceItem"]["properties"]["total"]["pattern"]
        for code in ("EUR", "JPY", "BHD")
    }
    assert patterns == {
        "EUR": r"^-?\d{0,20}(?:\.\d{0,2})?$",
        "JPY": r"^-?\d{0,20}$",
        "BHD": r"^-?\d{0,20}(?:\.\d{0,3})?$",
    }


def test_a_code_that_is_no_currency_is_refused(settings: Settings) -> None:
    answer = CliRunner().invoke(cli, ["doctor"], env=environment(settings, "XAU"))
    assert "CURRENCY is wrong: XAU is not an ISO 4217 code of a currency with decimals" in (
        answer.stdout + answer.stderr
    )


async def test_a_worker_that_starts_makes_the_setting_the_currency_of_the_database(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    await make.item(await make.invoice(await make.customer()), "1.234")

    async def is_set() -> bool:
        return (await stored_currency(connection)).code is not None

    async with worker_here(settings.model_copy(update={"currency": "BHD"})):
        await until(is_set)
    found = await stored_currency(connection)
    assert (found.code, found.decimals) == ("BHD", 3)


async def test_an_amount_beyond_the_largest_is_refused_by_line_in_plain_words(
    settings: Settings, tmp_path: Path
) -> None:
    records = bill("990000000000")
    records[-1]["quantity"] = "990000000000"
    answer = await command(settings, "EUR", "import", lines(tmp_path / "in.jsonl", *records))
    assert answer.exit_code == 1
    assert "line 6 (invoice_item" in answer.stderr
    assert "an amount is too large: an item, an invoice and a payment must" in (answer.stderr)


@pytest.mark.parametrize("currency", ["EUR", "BHD"])
async def test_a_total_beyond_the_largest_is_refused_by_line_in_plain_words(
    settings: Settings, tmp_path: Path, *, currency: str
) -> None:
    records = bill("600000000000", "600000000000")
    for record in records[-2:]:
        record["quantity"] = "100000000"
    answer = await command(settings, currency, "import", lines(tmp_path / "in.jsonl", *records))
    assert answer.exit_code == 1
    assert "line 7 (invoice_item" in answer.stderr
    assert "an amount is too large" in answer.stderr
