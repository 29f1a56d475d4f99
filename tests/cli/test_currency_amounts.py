"""The decimals of CURRENCY in imports, responses, documents and mail."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.invoices.actions.freeze import find_or_freeze
from app.invoices.models import Invoice
from app.invoices.rendering.documents import render_html
from app.main import create_app
from app.settings import Settings
from tests.cli.currency_deployment import (
    bill_records,
    get_json,
    import_records,
    in_currency,
    run_command,
    staff_client,
    write_lines,
)
from tests.notifications.examples import body, compose
from tests.support.factories import Factories

pytestmark = pytest.mark.usefixtures("own_logs", "november")


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
                "stats": (1.236, 0.124, 1.36), "paid": "1.360", "due": "BHD\u00a01.360",
            },
        ),
    ],
)  # fmt: skip


@CASES
async def test_amounts_in_responses_have_the_decimals_of_the_currency(
    settings: Settings,
    make: Factories,
    tmp_path: Path,
    *,
    currency: str,
    costs: tuple[str, ...],
    shown: dict[str, Any],
) -> None:
    uuid = await import_records(settings, currency, tmp_path, bill_records(*costs))
    async with staff_client(settings, make, currency) as client:
        document = await get_json(client, f"/api/invoices/{uuid}/")
        (listed,) = await get_json(client, "/api/invoices/", min_sum=shown["total"])
        assert listed == document
        assert await get_json(client, f"/api/invoices/{uuid}/items/") == document["items"]
        assert [item["price"] for item in document["items"]] == shown["prices"]
        assert [item["tax"] for item in document["items"]] == shown["taxes"]
        assert [item["total"] for item in document["items"]] == shown["totals"]
        assert {name: document[name] for name in ("price", "tax", "total")} == {
            name: shown[name] for name in ("price", "tax", "total")
        }
        (row,) = await get_json(client, f"/api/invoices/{uuid}/stats/")
        assert tuple(row[f"aggregated_{of}"] for of in ("price", "tax", "total")) == shown["stats"]


@CASES
async def test_payments_and_growth_are_rounded_half_up_to_the_decimals(
    settings: Settings,
    make: Factories,
    connection: AsyncConnection,
    tmp_path: Path,
    *,
    currency: str,
    costs: tuple[str, ...],
    shown: dict[str, Any],
) -> None:
    uuid = await import_records(settings, currency, tmp_path, bill_records(*costs))
    async with staff_client(settings, make, currency) as client:
        answer = await client.post(f"/api/invoices/{uuid}/paid/", json={"date": "2026-11-02"})
        assert answer.status_code == 200, answer.text
        growth = await get_json(client, "/api/invoices/growth/")
        assert growth["total_periods"][-2] == float(shown["paid"])
        assert growth["customer_periods"][0]["periods"][-2] == float(shown["paid"])
        [version, *_] = await get_json(client, f"/api/invoices/{uuid}/history/")
        (payment,) = version["serialized_data"]["changes"]["payments"]
        assert payment["became"]["sum"] == shown["paid"]
    found = await connection.execute(text("SELECT sum FROM payments"))
    assert found.scalar_one() == Decimal(shown["paid"])
    listing = await run_command(settings, currency, "payment", "list")
    assert shown["paid"] in listing.stdout.split()


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
    await import_records(settings, currency, tmp_path, bill_records(*costs))
    invoice_id = (await connection.execute(select(Invoice.id))).scalar_one()
    settings = in_currency(settings, currency)
    issued = await find_or_freeze(database, settings, invoice_id)
    page = (await render_html(database, issued, settings.locale)).decode()
    assert shown["due"] in page
    assert f"{Decimal(str(shown['prices'][0])):,}" in page
    assert shown["due"] in body(compose(settings, issued.document), "plain")


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
    answer = await run_command(settings, "JPY", "import", "--format", "focus", str(file))
    assert answer.exit_code == 0, answer.stderr
    assert (await connection.execute(select(Invoice.total_price))).scalar_one() == 988
    file.write_text("\n".join([header, *rows]).format(code="EUR"))
    refused = await run_command(
        settings, "JPY", "import", "--format", "focus", "--currency", "EUR", str(file)
    )
    assert refused.exit_code == 1
    assert "EUR has 2 decimals, and JPY, the currency of this service's invoices" in refused.stderr


async def test_a_price_with_more_decimals_than_the_currency_is_rejected(
    settings: Settings, tmp_path: Path
) -> None:
    records = bill_records("1.5", prices={0: "1.5"})
    answer = await run_command(
        settings, "JPY", "import", write_lines(tmp_path / "in.jsonl", *records)
    )
    assert answer.exit_code == 1
    assert "line 6 (invoice_item" in answer.stderr
    assert "price: more than the 0 decimals of JPY" in answer.stderr


@pytest.mark.parametrize(("currency", "price"), [("JPY", "2"), ("BHD", "1.501"), ("EUR", "1.49")])
async def test_exported_prices_are_imported_unchanged(
    settings: Settings,
    second_database_url: str,
    tmp_path: Path,
    *,
    currency: str,
    price: str,
) -> None:
    await import_records(
        settings, currency, tmp_path, bill_records("1.5", "1.5", prices={1: price})
    )
    exports: list[list[dict[str, Any]]] = []
    other = settings.model_copy(update={"database_url": second_database_url})
    for name, place in (("one", settings), ("two", other)):
        file = tmp_path / f"{name}.jsonl"
        if exports:
            answer = await run_command(place, currency, "import", str(tmp_path / "one.jsonl"))
            assert answer.exit_code == 0, answer.stderr
        answer = await run_command(place, currency, "export", "-o", str(file))
        assert answer.exit_code == 0, answer.stderr
        exports.append(
            [
                record
                for record in map(json.loads, file.read_text().splitlines())
                if not record["kind"].startswith(("history", "subject_history"))
            ]
        )
    assert exports[0] == exports[1]
    made, given = (Decimal(each["price"]) for each in exports[0] if each["kind"] == "invoice_item")
    assert made == {"JPY": 2, "BHD": Decimal("1.5"), "EUR": Decimal("1.5")}[currency]
    assert given == Decimal(price)


@pytest.mark.parametrize(("number", "fits"), [(10**15, True), (10**15 + 1, False)])
async def test_an_invoice_number_that_clients_cannot_read_exactly_is_rejected(
    settings: Settings, tmp_path: Path, *, number: int, fits: bool
) -> None:
    records = bill_records("1")
    records[4]["number"] = number
    answer = await run_command(
        settings, "EUR", "import", write_lines(tmp_path / "in.jsonl", *records)
    )
    assert (answer.exit_code == 0) is fits
    assert ("line 5: number: Input should be less than or equal to" in answer.stderr) is not fits


def test_the_openapi_document_has_the_decimals_of_the_currency(settings: Settings) -> None:
    patterns = {
        code: create_app(in_currency(settings, code)).openapi()["components"]["schemas"][
            "InvoiceItem"
        ]["properties"]["total"]["pattern"]
        for code in ("EUR", "JPY", "BHD")
    }
    assert patterns == {
        "EUR": r"^-?\d{0,20}(?:\.\d{0,2})?$",
        "JPY": r"^-?\d{0,20}$",
        "BHD": r"^-?\d{0,20}(?:\.\d{0,3})?$",
    }


async def test_an_amount_that_is_too_large_is_rejected(settings: Settings, tmp_path: Path) -> None:
    records = bill_records("990000000000")
    records[-1]["quantity"] = "990000000000"
    answer = await run_command(
        settings, "EUR", "import", write_lines(tmp_path / "in.jsonl", *records)
    )
    assert answer.exit_code == 1
    assert "line 6 (invoice_item" in answer.stderr
    assert "an amount is too large: an item, an invoice and a payment must" in (answer.stderr)


@pytest.mark.parametrize("currency", ["EUR", "BHD"])
async def test_a_total_that_is_too_large_is_rejected(
    settings: Settings, tmp_path: Path, *, currency: str
) -> None:
    records = bill_records("600000000000", "600000000000")
    for record in records[-2:]:
        record["quantity"] = "100000000"
    answer = await run_command(
        settings, currency, "import", write_lines(tmp_path / "in.jsonl", *records)
    )
    assert answer.exit_code == 1
    assert "line 7 (invoice_item" in answer.stderr
    assert "an amount is too large" in answer.stderr
