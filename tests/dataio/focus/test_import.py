"""What an import writes, and what it does the second time."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.catalogue.models import Category, Offering, Resource, ServiceProvider
from app.customers.models import Customer, Project
from app.database.engine import Database
from app.dataio.focus import identifiers
from app.dataio.focus.bill_writer import BillWriter
from app.dataio.focus.charge_groups import InvoiceKey, group_charges, make_account_key
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import FocusImportReport, InvoiceOutcome
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.mapping import BillMapper
from app.dataio.focus.options import FocusImportOptions
from app.dataio.focus.reader import read_charges
from app.dataio.loader import import_transaction
from app.invoices.jobs.close_month import close_month
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import PaymentProfile
from app.settings import Settings
from tests.dataio.focus.files import BASIC, row, write
from tests.support.factories import Factories, Row


class Importer:
    """Imports rows and looks at the database."""

    def __init__(self, database: Database, settings: Settings, place: Path) -> None:
        self.database, self.settings, self.place = database, settings, place

    async def __call__(self, *rows: dict[str, str], **options: Any) -> FocusImportReport:
        columns = list(dict.fromkeys([*BASIC, *(title for each in rows for title in each)]))
        path = write(self.place / "costs.csv", rows, columns)
        return await import_focus_files(
            self.database, self.settings, [path], FocusImportOptions(**options)
        )

    async def fates(self, *rows: dict[str, str], **options: Any) -> list[InvoiceOutcome]:
        return [each.outcome for each in (await self(*rows, **options)).invoices]

    async def refusal(self, *rows: dict[str, str], **options: Any) -> str:
        before = await self.everything()
        with pytest.raises(FocusImportError) as caught:
            await self(*rows, **options)
        assert await self.everything() == before
        return str(caught.value)

    async def everything(self) -> dict[str, list[str]]:
        """Every row of the database, as text."""
        async with self.database.reading() as connection:
            names = await connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            )
            rows = {}
            for name in names.scalars().all():
                found = await connection.execute(text(f'SELECT t::text FROM "{name}" AS t'))
                rows[name] = sorted(found.scalars())
            return rows


@pytest.fixture
def importer(database: Database, settings: Settings, tmp_path: Path) -> Importer:
    clock.freeze(datetime(2026, 10, 15, tzinfo=UTC))
    return Importer(database, settings, tmp_path)


async def items(connection: AsyncConnection, name: str | None = None) -> list[Any]:
    statement = select(*InvoiceItem.__table__.c).order_by(InvoiceItem.id)
    if name is not None:
        statement = statement.where(InvoiceItem.name == name)
    return list((await connection.execute(statement)).all())


OCTOBER = {
    "BillingPeriodStart": "2026-10-01",
    "BillingPeriodEnd": "2026-11-01",
    "ChargePeriodStart": "2026-10-02",
    "ChargePeriodEnd": "2026-10-03",
}


async def test_what_becomes_of_a_charge(importer: Importer, connection: AsyncConnection) -> None:
    await importer(row(BilledCost="1.2345678901"), row(BilledCost="2"))
    (item,) = await items(connection)
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
    told = (await connection.execute(statement)).one()
    assert (told.resource, told.offering, told.title) == ("masin", "Machines", "Compute")
    assert (told.project, told.customer) == ("Team A", "Õunaaed OÜ")
    assert item.project_uuid == told.project_uuid
    for key in ("resource_uuid", "offering_uuid"):
        assert item.details[key] == str(getattr(told, key))
    assert item.details["service_provider_uuid"] == str(told.provider_uuid)
    assert item.details["service_provider_name"] == "Pilveke"
    assert item.price == Decimal("3.23")
    invoice = (await connection.execute(select(*Invoice.__table__.c))).one()
    assert (invoice.year, invoice.month, invoice.state) == (2026, 9, "pending")
    assert (invoice.source, invoice.tax_percent) == ("focus", 0)
    assert (invoice.created, invoice.total_price) == (date(2026, 9, 1), Decimal("3.23"))
    assert invoice.revision == invoice.imported_revision


async def test_signs_and_credits(importer: Importer, connection: AsyncConnection) -> None:
    await importer(
        row(BilledCost="10"),
        row(BilledCost="-2.5", ChargeCategory="Credit", ChargeDescription="Given"),
        row(BilledCost="-1.25", ChargeCategory="Adjustment", ChargeDescription="Corrected"),
    )
    found = {item.name: (item.unit_price, item.credit) for item in await items(connection)}
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


async def test_what_a_file_leaves_out(importer: Importer, connection: AsyncConnection) -> None:
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
    (item,) = await items(connection)
    assert item.name == "Machines: Usage"
    assert item.resource_id is None
    assert item.offering_id is not None
    assert item.project_name == "acc-1"
    assert "resource_uuid" not in item.details
    assert "pricing_quantity" not in item.details
    names = await connection.execute(select(Customer.name).order_by(Customer.name))
    assert list(names.scalars()) == ["Pilveke", "acc-1"]


async def test_one_resource_in_several_places_is_several(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row(), row(SubAccountId="sub-2"), row(ServiceName="Disks"))
    assert (await connection.execute(select(func.count(Resource.id)))).scalar_one() == 3


async def test_the_time_charged_stays_within_the_billing_period_where_it_meets_it(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(
        row(ChargeDescription="long", ChargePeriodStart="2026-08-15", ChargePeriodEnd="2026-12-01"),
        row(ChargeDescription="late", ChargePeriodStart="2026-08-15", ChargePeriodEnd="2026-08-16"),
        row(ChargeDescription="now", ChargePeriodStart="2026-09-05", ChargePeriodEnd="2026-09-05"),
    )
    found = {item.name: (item.start, item.end) for item in await items(connection)}
    period = Period(2026, 9)
    assert found["long"] == (period.start, period.end)
    assert found["late"][0] == datetime(2026, 8, 15, tzinfo=UTC)
    assert found["now"][0] == found["now"][1] == datetime(2026, 9, 5, tzinfo=UTC)


async def test_a_second_time_changes_nothing(importer: Importer) -> None:
    rows = [row(BilledCost="0.001"), row(BillingAccountId="2"), row(**OCTOBER)]
    assert await importer.fates(*rows) == [InvoiceOutcome.NEW] * 3
    before = await importer.everything()
    assert await importer.fates(*reversed(rows)) == [InvoiceOutcome.UNCHANGED] * 3
    assert await importer.everything() == before


async def test_what_was_completed_here_stays(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row())
    await connection.execute(update(Customer).values(email="a@example.com", name="Ours"))
    await connection.execute(update(Invoice).values(payment_url="https://pay.example"))
    await importer(row(BilledCost="5"))
    emails = await connection.execute(select(Customer.email, Customer.name).distinct())
    assert emails.all() == [("a@example.com", "Ours")]
    assert (await connection.execute(select(Invoice.payment_url))).scalar_one() != ""


async def test_a_growing_month_changes_and_adds_items(
    importer: Importer, connection: AsyncConnection
) -> None:
    same = row(ChargeDescription="same")
    early = row(ChargeDescription="growing")
    await importer(same, early)
    first = {item.name: item for item in await items(connection)}
    later = early | {"ChargePeriodEnd": "2026-09-12", "BilledCost": "3.5"}
    new = row(ChargeDescription="new")
    assert await importer.fates(same, early, later, new) == [InvoiceOutcome.UPDATED]
    then = {item.name: item for item in await items(connection)}
    assert set(then) == {"same", "growing", "new"}
    assert then["same"] == first["same"]
    assert (then["growing"].id, then["growing"].price) == (first["growing"].id, Decimal("4.50"))
    numbers = select(
        Invoice.number, Invoice.total_price, Invoice.revision - Invoice.imported_revision
    )
    assert tuple((await connection.execute(numbers)).one()) == (100001, Decimal("6.50"), 0)


async def test_what_an_earlier_import_brought_goes_only_when_it_is_to_be_replaced(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row(SubAccountId="a", BilledCost="80"))
    part = row(SubAccountId="b", BilledCost="20")
    told = await importer.refusal(part, issue=True)
    assert "Invoice 100001 (2026-09, Õunaaed OÜ): 1 item of 80.00 would be removed" in told
    assert "--replace" in told
    assert await importer.fates(part, row(**OCTOBER), keep_good=True, issue=True) == [
        InvoiceOutcome.REFUSED,
        InvoiceOutcome.NEW,
    ]
    states = select(Invoice.state, Invoice.total_price).order_by(Invoice.month)
    assert (await connection.execute(states)).all() == [
        ("pending", Decimal(80)),
        ("pending", Decimal(1)),
    ]
    assert await importer.fates(part, replace=True) == [InvoiceOutcome.UPDATED]
    assert [item.price for item in await items(connection) if item.start.month == 9] == [20]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"ChargePeriodStart": "2026-09-11", "ChargePeriodEnd": "2026-09-12"}, "12.00"),
        ({"BilledCost": "4"}, "4.00"),
    ],
    ids=["other days", "fewer charges"],
)
async def test_an_item_does_not_lose_charges_unasked(
    importer: Importer, second: dict[str, str], told: str
) -> None:
    await importer(row(BilledCost="5"), row(BilledCost="5"))
    rest = row(BilledCost="12") | second
    refusal = await importer.refusal(rest)
    assert f"1 item of 10.00 would lose charges and become {told}" in refusal
    assert await importer.fates(rest, replace=True) == [InvoiceOutcome.UPDATED]


async def test_a_charge_may_become_cheaper(importer: Importer) -> None:
    await importer(row(BilledCost="5"))
    assert await importer.fates(row(BilledCost="4")) == [InvoiceOutcome.UPDATED]


async def test_items_of_other_means_stay_and_are_told_of(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row(BilledCost="10"))
    ((invoice_id, invoice_uuid),) = await connection.execute(select(Invoice.id, Invoice.uuid))
    own = await make.item(Row(invoice_id, invoice_uuid), "5", name="By hand")
    more = [row(BilledCost="10"), row(BilledCost="2.345", ResourceId="vm-2")]
    outcome = await importer(*more, issue=True)
    assert outcome.invoices[0].outcome is InvoiceOutcome.UPDATED
    assert "1 item of 5.00 came from no import" in outcome.invoices[0].note
    found = {item.id: item.price for item in await items(connection)}
    assert found.pop(own.id) == 5
    assert sum(found.values()) == outcome.price == Decimal("12.35")
    assert (await connection.execute(select(Invoice.total_price))).scalar_one() == Decimal("17.35")
    assert await importer.fates(*more) == [InvoiceOutcome.UNCHANGED]


async def test_an_open_invoice_with_items_of_its_own_is_taken_over_with_its_tax(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    opened = await opened_by_an_earlier_version(connection, make, InvoiceState.PENDING)
    await make.item(opened, "5", name="By hand")
    assert await importer.fates(row(**OCTOBER)) == [InvoiceOutcome.UPDATED]
    found = select(Invoice.source, Invoice.tax_percent, Invoice.total_price)
    assert (await connection.execute(found.where(Invoice.month == 10))).all() == [
        ("focus", Decimal(20), Decimal(6))
    ]


async def test_an_invoice_of_a_waldur_is_left_alone(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row())
    await connection.execute(update(Invoice).values(source="waldur"))
    assert "it was imported from waldur" in await importer.refusal(row())


async def test_a_pending_invoice_loses_the_item_that_rounded_it_and_an_issued_one_keeps_it(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    tiny = [row(BilledCost="0.0012", ResourceId=f"vm-{number}") for number in range(8)]
    await importer(*tiny)
    ((invoice_id, invoice_uuid),) = await connection.execute(select(Invoice.id, Invoice.uuid))
    await connection.execute(update(InvoiceItem).values(price=Decimal("0.01")))
    rounding = identifiers.rounding_uuid(InvoiceKey(2026, 9, make_account_key("acc-1", "Pilveke")))
    rounded = await make.item(
        Row(invoice_id, invoice_uuid), "-0.07", uuid=rounding, name="Rounding"
    )
    await connection.execute(update(Invoice).values(state="created"))
    assert await importer.fates(*tiny) == [InvoiceOutcome.UNCHANGED]
    assert rounded.id in [item.id for item in await items(connection)]
    told = await importer.refusal(*tiny, row(BilledCost="2"))
    assert "the file, which bills 2.01, while the invoice bills 0.01: a difference of +2.00" in told
    await connection.execute(update(Invoice).values(state="pending"))
    assert await importer.fates(*tiny) == [InvoiceOutcome.UPDATED]
    prices = [item.price for item in await items(connection)]
    assert sorted(prices) == [0] * 7 + [Decimal("0.01")]


async def test_items_do_not_move_from_an_issued_invoice(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    other = await make.invoice(await make.customer(), state=InvoiceState.CREATED)
    await connection.execute(update(InvoiceItem).values(invoice_id=other.id))
    for replace in (False, True):
        told = await importer.refusal(row(), replace=replace)
        assert "1 item of 1.00 would move here from invoice 100002, which is created" in told


async def test_the_outcome_has_the_name_that_an_operator_gave(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row())
    await connection.execute(update(Customer).values(name="Completed Here Ltd"))
    outcome = await importer(row())
    assert outcome.invoices[0].customer == "Completed Here Ltd"


async def test_an_issued_invoice_is_refused_if_the_file_differs(
    importer: Importer, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="0.001"), row(**OCTOBER)]
    outcome = await importer(*rows, issue=True)
    assert outcome.issued == 1
    dates = select(Invoice.state, Invoice.invoice_date).order_by(Invoice.number)
    issued = [tuple(each) for each in await connection.execute(dates)]
    # What is billed rounds to nothing that is to be paid.
    assert issued == [("paid", date(2026, 10, 15)), ("pending", None)]
    before = await importer.everything()
    assert await importer.fates(*rows, issue=True) == [InvoiceOutcome.UNCHANGED] * 2
    renamed = [each | {"SubAccountName": "New", "ResourceName": "new"} for each in rows[:1]]
    assert await importer.fates(*renamed) == [InvoiceOutcome.UNCHANGED]
    assert await importer.everything() == before
    changed = [row(BilledCost="0.002"), row(**OCTOBER, BilledCost="4")]
    told = await importer.refusal(*changed)
    assert "Invoice 100001 (2026-9" not in told
    assert "Invoice 100001 (2026-09, Õunaaed OÜ): it is paid and 1 line differs" in told
    assert await importer.fates(*changed, keep_good=True) == [
        InvoiceOutcome.REFUSED,
        InvoiceOutcome.UPDATED,
    ]
    prices = select(Invoice.total_price).order_by(Invoice.number)
    assert list((await connection.execute(prices)).scalars()) == [0, 4]
    dear = await importer(row(BilledCost="7.5"), keep_good=True)
    assert dear.billed == Decimal("7.5")
    assert dear.charged == dear.price == 0
    assert "which bills 7.50, while the invoice bills 0.00: a difference" in dear.invoices[0].note
    assert "2 lines differ" in await importer.refusal(row(ChargeDescription="other"))
    assert "a tax of 0.00 %" in await importer.refusal(rows[0], tax_percent=Decimal(20))


async def test_a_hand_made_change_is_told_of(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    (item,) = await items(connection)
    await connection.execute(
        update(InvoiceItem).where(InvoiceItem.id == item.id).values(unit_price=99)
    )
    outcome = await importer(row())
    assert outcome.invoices[0].outcome is InvoiceOutcome.UPDATED
    assert "was changed here" in outcome.invoices[0].note
    assert "was changed here" in "\n".join(outcome.lines())
    assert await importer.fates(row()) == [InvoiceOutcome.UNCHANGED]


async def account(connection: AsyncConnection) -> Row:
    """Return the customer that the account of the basic row is."""
    of_account = Customer.uuid == identifiers.customer_uuid(make_account_key("acc-1", "Pilveke"))
    found = (await connection.execute(select(Customer.id, Customer.uuid).where(of_account))).one()
    return Row(found.id, found.uuid)


async def opened_by_an_earlier_version(
    connection: AsyncConnection, make: Factories, state: InvoiceState
) -> Row:
    """Make what the close of earlier versions made for an account: an invoice without items."""
    return await make.invoice(await account(connection), Period(2026, 10), state=state)


async def test_a_late_bill_finds_no_invoice_of_the_close(
    importer: Importer, connection: AsyncConnection, database: Database, settings: Settings
) -> None:
    await importer(row(BilledCost="10"), issue=True)
    await close_month(database, settings)
    clock.freeze(datetime(2026, 11, 1, 0, 5, tzinfo=UTC))
    await close_month(database, settings)
    clock.freeze(datetime(2026, 11, 4, tzinfo=UTC))
    late = [row(**OCTOBER, BilledCost="12.34")]
    assert await importer.fates(*late, issue=True) == [InvoiceOutcome.NEW]
    assert await importer.fates(*late, issue=True) == [InvoiceOutcome.UNCHANGED]
    await close_month(database, settings, include_imported=True)
    found = select(Invoice.month, Invoice.state, Invoice.total_price).order_by(Invoice.month)
    assert (await connection.execute(found)).all() == [
        (9, "created", 10),
        (10, "created", Decimal("12.34")),
    ]


async def test_an_empty_invoice_that_an_earlier_version_opened_is_taken_over(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    opened = await opened_by_an_earlier_version(connection, make, InvoiceState.PENDING)
    assert await importer.fates(row(**OCTOBER)) == [InvoiceOutcome.UPDATED]
    found = select(Invoice.uuid, Invoice.source).where(Invoice.month == 10)
    assert (await connection.execute(found)).all() == [(opened.uuid, "focus")]
    assert await importer.fates(row(**OCTOBER)) == [InvoiceOutcome.UNCHANGED]


@pytest.mark.parametrize("state", [InvoiceState.CREATED, InvoiceState.PAID])
async def test_an_invoice_that_was_issued_empty_is_issued_again_with_its_late_bill(
    importer: Importer, connection: AsyncConnection, make: Factories, state: InvoiceState
) -> None:
    await importer(row())
    empty = await opened_by_an_earlier_version(connection, make, state)
    clock.freeze(datetime(2026, 11, 4, tzinfo=UTC))
    outcome = await importer(row(**OCTOBER, BilledCost="12.34"), issue=True)
    assert outcome.invoices[0].outcome is InvoiceOutcome.UPDATED
    assert "issued without items" in outcome.invoices[0].note
    found = select(
        Invoice.uuid, Invoice.state, Invoice.source, Invoice.total_price, Invoice.invoice_date
    ).where(Invoice.month == 10)
    assert (await connection.execute(found)).all() == [
        (empty.uuid, "created", "focus", Decimal("12.34"), date(2026, 11, 4))
    ]


async def test_an_empty_invoice_with_a_payment_is_final(
    importer: Importer, connection: AsyncConnection, make: Factories
) -> None:
    await importer(row())
    empty = await opened_by_an_earlier_version(connection, make, InvoiceState.CREATED)
    await make.payment(await make.profile(await account(connection)), invoice_id=empty.id)
    assert "was not created by an import of cost exports" in await importer.refusal(row(**OCTOBER))


async def test_an_invoice_issued_here_is_refused(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row(), issue=True)
    await connection.execute(update(Invoice).values(source=None))
    assert "was not created by an import of cost exports" in await importer.refusal(row())


async def test_tax_is_zero_unless_given(importer: Importer, connection: AsyncConnection) -> None:
    async def tax() -> Any:
        statement = select(Invoice.tax_percent, Customer.default_tax_percent).join(
            Customer, Customer.id == Invoice.customer_id
        )
        return tuple((await connection.execute(statement)).one())

    await importer(row(), tax_percent=Decimal(20))
    assert await tax() == (20, 20)
    assert await importer.fates(row()) == [InvoiceOutcome.UNCHANGED]
    assert await importer.fates(row(), tax_percent=Decimal(0)) == [InvoiceOutcome.UPDATED]
    assert (await tax())[0] == 0


async def test_currencies(importer: Importer, connection: AsyncConnection) -> None:
    dollars = row(BillingCurrency="USD", BilledCost="7")
    told = await importer.refusal(row(), dollars, dollars)
    assert "EUR (1 charge), USD (2 charges)" in told
    assert "--currency" in told
    assert "are in EUR" in await importer.refusal(dollars)
    assert "no charges in GBP" in await importer.refusal(dollars, currency="GBP")
    outcome = await importer(row(), dollars, currency="USD")
    assert outcome.skipped_rows == {"EUR": 1}
    assert "Not imported: 1 charge in EUR." in list(outcome.lines())
    assert "this service shows them as EUR" in outcome.warnings[0]
    assert [item.unit_price for item in await items(connection)] == [7]


async def test_a_bill_in_another_currency_does_not_replace_one(importer: Importer) -> None:
    rows = [row(), row(BillingCurrency="USD")]
    await importer(*rows, currency="USD")
    assert "its charges are in USD" in await importer.refusal(*rows, currency="EUR")
    assert "its charges are in USD" in await importer.refusal(rows[0])


async def test_several_files_are_one_bill(importer: Importer, tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "part-1.csv", [row(BilledCost="0.004")]),
        write(
            tmp_path / "part-2.csv",
            [row(BilledCost="0.004", ResourceId="vm-2"), row(**OCTOBER)],
        ),
    ]
    seen: list[float] = []
    outcome = await import_focus_files(
        importer.database, importer.settings, paths, FocusImportOptions(), progress=seen.append
    )
    assert [each.amounts.billed for each in outcome.invoices] == [Decimal("0.008"), 1]
    assert seen == sorted(seen)
    assert seen[-1] == 1
    write(paths[1], [row(BilledCost="x")])
    with pytest.raises(FocusImportError, match=r"part-2\.csv: line 2: BilledCost"):
        await import_focus_files(importer.database, importer.settings, paths)


async def test_a_file_without_charges(importer: Importer) -> None:
    outcome = await importer()
    assert outcome.invoices == []
    assert "The file has no charges." in list(outcome.lines())


async def test_sums_that_no_invoice_can_hold(importer: Importer) -> None:
    told = await importer.refusal(*[row(BilledCost="-999999999998")] * 2)
    assert (
        told == "The charges for Hours of a machine add up to -1999999999996, "
        "which is too much for one line."
    )


async def test_numbers_follow_month_and_account(
    importer: Importer, connection: AsyncConnection
) -> None:
    outcome = await importer(
        row(**OCTOBER), row(BillingAccountId="b"), row(BillingAccountId="a"), row(**OCTOBER)
    )
    assert [(each.month, each.number) for each in outcome.invoices] == [
        (9, 100001),
        (9, 100002),
        (10, 100003),
    ]
    a = select(Invoice.number).where(
        Invoice.uuid
        == identifiers.invoice_uuid(InvoiceKey(2026, 9, make_account_key("a", "Pilveke")))
    )
    assert (await connection.execute(a)).scalar_one() == 100001


async def test_a_fixed_price_contract_is_paid_at_once(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row())
    customer = (await connection.execute(select(Invoice.customer_id))).scalar_one()
    await connection.execute(
        insert(PaymentProfile).values(customer_id=customer, payment_type="fixed_price")
    )
    assert (await importer(row(), issue=True)).issued == 1
    assert (await connection.execute(select(Invoice.state))).scalar_one() == "paid"


async def test_one_id_of_two_issuers_is_two_customers(
    importer: Importer, connection: AsyncConnection
) -> None:
    ours = row(InvoiceIssuerName="Pilveke AS", BilledCost="10")
    theirs = row(InvoiceIssuerName="Muu OÜ", ProviderName="Muu", BillingAccountName="Other Ltd")
    assert await importer.fates(ours) == [InvoiceOutcome.NEW]
    outcome = await importer(theirs)
    assert [each.outcome for each in outcome.invoices] == [InvoiceOutcome.NEW]
    assert await importer.fates(ours, theirs) == [InvoiceOutcome.UNCHANGED] * 2
    billed = select(Customer.name, Invoice.total_price).join(
        Customer, Customer.id == Invoice.customer_id
    )
    found = (await connection.execute(billed.order_by(Customer.name))).all()
    assert found == [("Other Ltd", Decimal(1)), ("Õunaaed OÜ", Decimal(10))]


async def test_one_bill_of_several_service_providers_is_one_customers(importer: Importer) -> None:
    bill = [
        row(InvoiceIssuerName="Pilveke AS", ProviderName=provider, ResourceId=provider)
        for provider in ("Pilveke", "A shop", "Another shop")
    ]
    assert await importer.fates(*bill) == [InvoiceOutcome.NEW]


async def test_a_new_customer_that_is_like_another_is_told_of(importer: Importer) -> None:
    await importer(row(InvoiceIssuerName="Pilveke AS"))
    outcome = await importer(row(InvoiceIssuerName="Pilveke Group"))
    assert "acc-1 of Pilveke Group, Õunaaed OÜ, is a new customer" in outcome.warnings[0]
    assert (await importer(row(InvoiceIssuerName="Pilveke Group"))).warnings == []


async def made_by_its_id_alone(importer: Importer, connection: AsyncConnection) -> int:
    """Make what an earlier version made of the basic row."""
    bill = group_charges(read_charges(write(importer.place / "earlier.csv", [row()])))
    bill = bill.with_accounts({key.account: "acc-1" for key in bill.groups})
    mapping = BillMapper(bill, "EUR", Decimal(0))
    async with import_transaction(importer.database, importer.settings) as loader:
        await BillWriter(loader, mapping, FocusImportOptions(), lambda _: None).write()
    return (await connection.execute(select(Invoice.customer_id))).scalar_one()


async def test_a_customer_of_an_earlier_version_is_kept_for_its_bills_alone(
    importer: Importer, connection: AsyncConnection
) -> None:
    customer = await made_by_its_id_alone(importer, connection)
    assert await importer.fates(row(InvoiceIssuerName="Pilveke AS")) == [InvoiceOutcome.UNCHANGED]
    theirs = row(InvoiceIssuerName="Muu OÜ", ProviderName="Muu", **OCTOBER)
    outcome = await importer(theirs)
    assert "is a new customer" in outcome.warnings[0]
    await importer(row(InvoiceIssuerName="Pilveke AS", **OCTOBER))
    of_october = select(Invoice.customer_id).where(Invoice.month == 10).order_by(Invoice.number)
    other, same = (await connection.execute(of_october)).scalars()
    assert other != customer
    assert same == customer


async def test_the_sample(
    importer: Importer,
    shared: Path,
    make: Factories,
    connection: AsyncConnection,
    client: httpx.AsyncClient,
) -> None:
    settings = importer.settings.model_copy(update={"currency": "USD"})
    path = shared / "data" / "focus_sample.csv"
    outcome = await import_focus_files(
        importer.database, settings, [path], FocusImportOptions(issue=True)
    )
    assert outcome.billed == Decimal("20.52022672899")
    assert outcome.charged == Decimal("20.5202267290")
    prices = [each.amounts.price for each in outcome.invoices]
    assert prices == [Decimal(price) for price in ("1.98", "18.01", "0.30", "0.24")]
    stored = select(func.sum(InvoiceItem.unit_price), func.sum(InvoiceItem.price))
    assert (await connection.execute(stored)).one() == (Decimal("20.5202267290"), sum(prices))
    before = await importer.everything()
    again = await import_focus_files(
        importer.database, settings, [path], FocusImportOptions(issue=True)
    )
    assert {each.outcome for each in again.invoices} == {InvoiceOutcome.UNCHANGED}
    assert await importer.everything() == before

    headers = (await make.staff()).headers
    answer = await client.get("/api/invoices/", params={"year": 2024, "month": 9}, headers=headers)
    shown = {each["number"]: each for each in answer.json()}
    assert [shown[number]["price"] for number in (100001, 100002, 100003)] == [
        "1.9800000000",
        "18.0100000000",
        "0.3000000000",
    ]
    invoice = shown[100002]
    assert invoice["state"] == "created"
    assert invoice["customer_details"]["name"] == "SunBird"
    cents = sum(round(item["price"] * 100) for item in invoice["items"])
    assert cents == 1801
    given = [item for item in invoice["items"] if item["credit"]]
    assert [item["unit_price"] for item in given] == ["-2.6137000000"]
    assert invoice["compensations"] == -2.6137


async def test_a_month_of_another_time_zone(
    importer: Importer, connection: AsyncConnection
) -> None:
    outcome = await importer(
        row(
            BillingPeriodStart="2026-09-01T00:00:00+03:00",
            BillingPeriodEnd="2026-10-01T00:00:00+03:00",
            ChargePeriodStart="2026-09-01T00:00:00+03:00",
            ChargePeriodEnd="2026-09-01T01:00:00+03:00",
        )
    )
    assert [(each.year, each.month) for each in outcome.invoices] == [(2026, 9)]
    starts = select(Customer.accounting_start_date).where(Customer.name == "Õunaaed OÜ")
    assert (await connection.execute(starts)).scalar_one() == datetime(2026, 9, 1, tzinfo=UTC)
    (item,) = await items(connection)
    assert item.start == datetime(2026, 8, 31, 21, tzinfo=UTC)
    assert item.end == datetime(2026, 8, 31, 21, 59, 59, 999999, tzinfo=UTC)


async def test_a_period_that_ends_with_its_last_day_has_that_day(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(
        row(
            BillingPeriodStart="2026-09-01",
            BillingPeriodEnd="2026-09-30",
            ChargePeriodStart="2026-09-01",
            ChargePeriodEnd="2026-10-01",
        )
    )
    (item,) = await items(connection)
    assert item.start == datetime(2026, 9, 1, tzinfo=UTC)
    assert item.end == datetime(2026, 9, 30, 23, 59, 59, 999999, tzinfo=UTC)


async def test_charges_of_the_first_moment_of_the_calendar(
    importer: Importer, connection: AsyncConnection
) -> None:
    first = "0001-01-01T00:00:00Z"
    await importer(row(ChargePeriodStart=first, ChargePeriodEnd=first))
    assert len(await items(connection)) == 1


async def test_a_file_of_1_0_preview_is_billed(
    importer: Importer, connection: AsyncConnection, tmp_path: Path
) -> None:
    names = {
        "ProviderName": "Provider",
        "ConsumedQuantity": "UsageQuantity",
        "ConsumedUnit": "UsageUnit",
    }
    cells = {names.get(title, title): cell for title, cell in row(BilledCost="0.25").items()}
    cells |= {"Publisher": "Pilveke", "InvoiceIssuer": "Pilveke", "Region": "ee-1"}
    path = write(tmp_path / "preview.csv", [cells], list(cells))
    outcome = await import_focus_files(
        importer.database, importer.settings, [path], FocusImportOptions()
    )
    assert outcome.price == Decimal("0.25")
    (item,) = await items(connection)
    assert item.details["service_provider_name"] == "Pilveke"
    assert (item.details["consumed_quantity"], item.details["consumed_unit"]) == ("1", "Hours")


async def test_a_correction_is_a_line_of_its_own_with_its_own_period(
    importer: Importer, connection: AsyncConnection
) -> None:
    correction = row(
        BilledCost="-0.40",
        ChargeClass="Correction",
        ChargePeriodStart="2026-08-31T12:00:00Z",
        ChargePeriodEnd="2026-09-01T12:00:00Z",
    )
    await importer(row(BilledCost="3"), correction, row(BilledCost="2"))
    charged, corrected = sorted(await items(connection), key=lambda item: -item.unit_price)
    assert (charged.unit_price, corrected.unit_price) == (5, Decimal("-0.4"))
    assert charged.start == datetime(2026, 9, 10, 10, tzinfo=UTC)
    assert corrected.start == datetime(2026, 8, 31, 12, tzinfo=UTC)
    assert corrected.end == datetime(2026, 9, 1, 11, 59, 59, 999999, tzinfo=UTC)
    assert (corrected.details["charge_class"], corrected.credit) == ("Correction", False)
    assert corrected.details["billed_cost"] == "-0.4"
    assert "charge_class" not in charged.details


async def test_the_ids_of_the_providers_invoices_are_kept(
    importer: Importer, connection: AsyncConnection
) -> None:
    assert await importer.fates(row(), row()) == [InvoiceOutcome.NEW]
    (before,) = await items(connection)
    assert "invoice_ids" not in before.details
    numbered = [row(InvoiceId="P-2"), row(InvoiceId="P-1")]
    assert await importer.fates(*numbered, issue=True) == [InvoiceOutcome.UPDATED]
    (after,) = await items(connection)
    assert (after.uuid, after.details["invoice_ids"]) == (before.uuid, ["P-1", "P-2"])
    assert await importer.fates(row(InvoiceId="P-3"), row()) == [InvoiceOutcome.UNCHANGED]


TAX = {"ChargeCategory": "Tax", "ChargeDescription": "Excise", "BilledCost": "2.20"}


async def taxed(connection: AsyncConnection) -> Any:
    return (await connection.execute(select(Invoice.total_price, Invoice.tax_percent))).one()


async def test_taxes_of_the_provider_are_not_taxed(
    importer: Importer, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="10"), row(**TAX), row(**{**TAX, "ChargeCategory": "tax"})]
    told = await importer.refusal(*rows, tax_percent=Decimal(22))
    assert "2 rows of the category Tax, 4.40 EUR in total" in told
    assert "--drop-tax-rows" in told
    outcome = await importer(*rows)
    told = "Imported as items: 2 tax rows, 4.40 EUR in total. Their invoices have a tax of 0 %."
    assert told in list(outcome.lines())
    assert await taxed(connection) == (Decimal("14.40"), 0)
    assert {item.details["charge_category"] for item in await items(connection)} == {"Usage", "Tax"}
    assert await importer.fates(*rows, tax_percent=Decimal(0)) == [InvoiceOutcome.UNCHANGED]


async def test_taxes_of_the_provider_are_left_out_where_asked(
    importer: Importer, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="10"), row(**TAX)]
    outcome = await importer(*rows, tax_percent=Decimal(22), drop_tax_rows=True)
    assert await taxed(connection) == (10, 22)
    assert "Dropped: 1 tax row, 2.20 EUR in total." in list(outcome.lines())
    assert (outcome.rows, outcome.billed) == (1, Decimal(10))


async def test_a_pending_invoice_that_gets_the_providers_taxes_loses_its_own(
    importer: Importer, connection: AsyncConnection
) -> None:
    await importer(row(BilledCost="10"), row(**OCTOBER), tax_percent=Decimal(22))
    rows = [row(BilledCost="10"), row(**TAX), row(**OCTOBER)]
    assert await importer.fates(*rows) == [InvoiceOutcome.UPDATED, InvoiceOutcome.UNCHANGED]
    found = select(Invoice.month, Invoice.tax_percent).order_by(Invoice.month)
    taxes = [tuple(each) for each in await connection.execute(found)]
    assert taxes == [(9, Decimal(0)), (10, Decimal(22))]


async def test_an_issued_invoice_that_is_taxed_twice_is_named(
    importer: Importer, connection: AsyncConnection
) -> None:
    rows = [row(BilledCost="10"), row(**TAX)]
    await importer(*rows, issue=True)
    await connection.execute(text("ALTER TABLE invoices DISABLE TRIGGER USER"))
    await connection.execute(update(Invoice).values(tax_percent=22))
    await connection.execute(text("ALTER TABLE invoices ENABLE TRIGGER USER"))
    assert "is created with a tax of 22.00 %" in await importer.refusal(*rows)


async def test_files_with_the_same_charges_are_refused(importer: Importer, tmp_path: Path) -> None:
    first = write(tmp_path / "first.csv", [row(BilledCost="3"), row(BilledCost="4")])
    grown = write(tmp_path / "grown.csv", [row(BilledCost=cost) for cost in ("1", "3", "4")])
    before = await importer.everything()
    with pytest.raises(FocusImportError) as caught:
        await import_focus_files(importer.database, importer.settings, [first, grown])
    assert await importer.everything() == before
    told = str(caught.value)
    assert f"{first} and {grown} have the same charges: 2 of the 3 rows" in told
    assert "--allow-equal-rows" in told
    outcome = await import_focus_files(
        importer.database,
        importer.settings,
        [first, grown],
        FocusImportOptions(allow_equal_rows=True),
    )
    assert outcome.billed == 15
