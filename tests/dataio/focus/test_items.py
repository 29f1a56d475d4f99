"""Charges become items."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.periods import Period
from app.catalogue.models import Category, Offering, Resource, ServiceProvider
from app.customers.models import Customer, Project
from app.dataio.focus.import_report import InvoiceOutcome
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.invoices.models import Invoice
from tests.dataio.focus.bill_importer import (
    BillImporter,
    load_items,
)
from tests.dataio.focus.files import row, write


async def test_a_charge_becomes_an_item_with_its_records(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row(BilledCost="1.2345678901"), row(BilledCost="2"))
    (item,) = await load_items(connection)
    assert item.name == "Hours of a machine"
    assert item.unit_price == Decimal("3.2345678901")
    assert (item.quantity, item.unit, item.measured_unit) == (1, "quantity", "")
    assert item.start == datetime(2026, 9, 10, 10, tzinfo=UTC)
    assert item.end == datetime(2026, 9, 10, 10, 59, 59, 999999, tzinfo=UTC)
    assert (item.project_name, item.credit) == ("Team A", False)
    assert item.details["billed_cost"] == "3.2345678901"
    assert (item.details["pricing_quantity"], item.details["pricing_unit"]) == ("2", "Hours")
    assert (item.details["consumed_quantity"], item.details["consumed_unit"]) == ("2", "Hours")
    assert item.details["billing_currency"] == "EUR"
    assert (item.details["charge_category"], item.details["charge_count"]) == ("Usage", 2)
    statement = (
        select(
            Resource.name.label("resource"),
            Resource.uuid.label("resource_uuid"),
            Offering.name.label("offering"),
            Offering.uuid.label("offering_uuid"),
            Category.title,
            Project.name.label("project"),
            Project.uuid.label("project_uuid"),
            Customer.name.label("customer"),
            ServiceProvider.uuid.label("provider_uuid"),
        )
        .join(Offering, Offering.id == Resource.offering_id)
        .join(Category, Category.id == Offering.category_id)
        .join(Project, Project.id == Resource.project_id)
        .join(Customer, Customer.id == Project.customer_id)
        .join(ServiceProvider, ServiceProvider.customer_id == Offering.customer_id)
        .where(Resource.id == item.resource_id)
    )
    message = (await connection.execute(statement)).one()
    assert (message.resource, message.offering, message.title) == ("masin", "Machines", "Compute")
    assert (message.project, message.customer) == ("Team A", "Õunaaed OÜ")
    assert item.project_uuid == message.project_uuid
    for key in ("resource_uuid", "offering_uuid"):
        assert item.details[key] == str(getattr(message, key))
    assert item.details["service_provider_uuid"] == str(message.provider_uuid)
    assert item.details["service_provider_name"] == "Pilveke"
    assert item.price == Decimal("3.23")
    invoice = (await connection.execute(select(*Invoice.__table__.c))).one()
    assert (invoice.year, invoice.month, invoice.state) == (2026, 9, "pending")
    assert (invoice.source, invoice.tax_percent) == ("focus", 0)
    assert (invoice.created, invoice.total_price) == (date(2026, 9, 1), Decimal("3.23"))
    assert invoice.revision == invoice.imported_revision


async def test_items_keep_the_signs_of_their_costs_and_only_credits_are_credits(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(
        row(BilledCost="10"),
        row(BilledCost="-2.5", ChargeCategory="Credit", ChargeDescription="Given"),
        row(BilledCost="-1.25", ChargeCategory="Adjustment", ChargeDescription="Corrected"),
    )
    found = {item.name: (item.unit_price, item.credit) for item in await load_items(connection)}
    assert found == {
        "Hours of a machine": (10, False),
        "Given": (Decimal("-2.5"), True),
        "Corrected": (Decimal("-1.25"), False),
    }
    sums = select(Invoice.incurred_costs, Invoice.compensations, Invoice.total_price)
    assert tuple((await connection.execute(sums)).one()) == (
        Decimal("8.75"),
        Decimal("-2.5"),
        Decimal("6.25"),
    )


async def test_missing_values_have_defaults(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(
        row(
            BillingAccountName="NULL",
            SubAccountId="NULL",
            SubAccountName="NULL",
            ResourceId="",
            ResourceName="",
            ChargeDescription="NULL",
            PricingQuantity="",
            ConsumedQuantity="",
        )
    )
    (item,) = await load_items(connection)
    assert item.name == "Machines: Usage"
    assert item.resource_id is None
    assert item.offering_id is not None
    assert item.project_name == "acc-1"
    assert "resource_uuid" not in item.details
    assert "pricing_quantity" not in item.details
    names = await connection.execute(select(Customer.name).order_by(Customer.name))
    assert list(names.scalars()) == ["Pilveke", "acc-1"]


async def test_a_resource_id_under_several_sub_accounts_and_services_is_several_resources(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(row(), row(SubAccountId="sub-2"), row(ServiceName="Disks"))
    assert (await connection.execute(select(func.count(Resource.id)))).scalar_one() == 3


async def test_the_charged_time_is_limited_to_the_billing_period(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    await importer(
        row(ChargeDescription="long", ChargePeriodStart="2026-08-15", ChargePeriodEnd="2026-12-01"),
        row(ChargeDescription="late", ChargePeriodStart="2026-08-15", ChargePeriodEnd="2026-08-16"),
        row(ChargeDescription="now", ChargePeriodStart="2026-09-05", ChargePeriodEnd="2026-09-05"),
    )
    found = {item.name: (item.start, item.end) for item in await load_items(connection)}
    period = Period(2026, 9)
    assert found["long"] == (period.start, period.end)
    assert found["late"][0] == datetime(2026, 8, 15, tzinfo=UTC)
    assert found["now"][0] == found["now"][1] == datetime(2026, 9, 5, tzinfo=UTC)


async def test_a_charge_of_the_first_moment_of_the_calendar_is_imported(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    first = "0001-01-01T00:00:00Z"
    await importer(row(ChargePeriodStart=first, ChargePeriodEnd=first))
    assert len(await load_items(connection)) == 1


async def test_a_file_of_version_1_0_preview_is_imported(
    importer: BillImporter, connection: AsyncConnection, tmp_path: Path
) -> None:
    names = {
        "ProviderName": "Provider",
        "ConsumedQuantity": "UsageQuantity",
        "ConsumedUnit": "UsageUnit",
    }
    cells = {names.get(title, title): cell for title, cell in row(BilledCost="0.25").items()}
    cells |= {"Publisher": "Pilveke", "InvoiceIssuer": "Pilveke", "Region": "ee-1"}
    path = write(tmp_path / "preview.csv", [cells], list(cells))
    report = await import_focus_files(
        importer.database, importer.settings, [path], FocusImportOptions()
    )
    assert report.price == Decimal("0.25")
    (item,) = await load_items(connection)
    assert item.details["service_provider_name"] == "Pilveke"
    assert (item.details["consumed_quantity"], item.details["consumed_unit"]) == ("1", "Hours")


async def test_a_correction_is_a_separate_item_with_its_own_period(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    correction = row(
        BilledCost="-0.40",
        ChargeClass="Correction",
        ChargePeriodStart="2026-08-31T12:00:00Z",
        ChargePeriodEnd="2026-09-01T12:00:00Z",
    )
    await importer(row(BilledCost="3"), correction, row(BilledCost="2"))
    charged, corrected = sorted(await load_items(connection), key=lambda item: -item.unit_price)
    assert (charged.unit_price, corrected.unit_price) == (5, Decimal("-0.4"))
    assert charged.start == datetime(2026, 9, 10, 10, tzinfo=UTC)
    assert corrected.start == datetime(2026, 8, 31, 12, tzinfo=UTC)
    assert corrected.end == datetime(2026, 9, 1, 11, 59, 59, 999999, tzinfo=UTC)
    assert (corrected.details["charge_class"], corrected.credit) == ("Correction", False)
    assert corrected.details["billed_cost"] == "-0.4"
    assert "charge_class" not in charged.details


async def test_details_have_the_ids_of_the_providers_invoices(
    importer: BillImporter, connection: AsyncConnection
) -> None:
    assert await importer.outcomes(row(), row()) == [InvoiceOutcome.NEW]
    (before,) = await load_items(connection)
    assert "invoice_ids" not in before.details
    numbered = [row(InvoiceId="P-2"), row(InvoiceId="P-1")]
    assert await importer.outcomes(*numbered, issue=True) == [InvoiceOutcome.UPDATED]
    (after,) = await load_items(connection)
    assert (after.uuid, after.details["invoice_ids"]) == (before.uuid, ["P-1", "P-2"])
    assert await importer.outcomes(row(InvoiceId="P-3"), row()) == [InvoiceOutcome.UNCHANGED]


async def test_a_sum_that_is_too_large_for_a_line_is_refused(importer: BillImporter) -> None:
    message = await importer.refusal(*[row(BilledCost="-999999999998")] * 2)
    assert (
        message == "The charges for Hours of a machine add up to -1999999999996, "
        "which is too much for one line."
    )
