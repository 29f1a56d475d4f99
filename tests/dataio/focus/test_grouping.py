"""The charges that are summed up into one line, and their names."""

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dataio.focus import cells
from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.charge_groups import Bill, make_account_key
from tests.dataio.focus.files import row, write

ACCOUNT = make_account_key("acc-1", "Pilveke")


def grouped(path: Path, rows: list[dict[str, str]], currency: str | None = None) -> Bill:
    columns = list(dict.fromkeys(title for each in rows for title in each))
    return read_bill([write(path / "f.csv", rows, columns)], currency)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("BillingAccountId", "acc-2"),
        ("BillingPeriodStart", "2026-08-31 22:00:00"),
        ("SubAccountId", "sub-2"),
        ("ServiceName", "Disks"),
        ("ServiceCategory", "Storage"),
        ("ProviderName", "Another"),
        ("ResourceId", "vm-2"),
        ("ChargeDescription", "Other hours"),
        ("PricingUnit", "Days"),
        ("ChargeCategory", "Credit"),
        ("ChargeClass", "Correction"),
    ],
)
def test_charges_that_differ_in_a_grouping_column_are_separate_lines(
    tmp_path: Path, column: str, value: str
) -> None:
    assert len(grouped(tmp_path, [row(), row(**{column: value})]).groups) == 2


def test_other_charges_are_one_line(tmp_path: Path) -> None:
    rows = [
        row(BilledCost="0.00000000001", PricingQuantity="0.1", ConsumedQuantity="3"),
        row(
            BilledCost="2",
            PricingQuantity="NULL",
            ChargePeriodStart="2026-09-02",
            ChargePeriodEnd="2026-09-03",
            ResourceName="renamed since",
        ),
        row(BilledCost="-1e-3", ConsumedUnit="Days"),
    ]
    ((_, sums),) = grouped(tmp_path, rows).groups.items()
    assert sums.billed_cost == Decimal("1.99900000001")
    assert sums.charges == 3
    assert sums.start == cells.parse_timestamp("2026-09-02")
    assert sums.end == cells.parse_timestamp("2026-09-10 11:00:00")
    assert sums.pricing_quantity == Decimal("1.1")
    assert sums.consumed == {"Hours": 4, "Days": 1}


def test_the_latest_name_is_used_whatever_the_order(tmp_path: Path) -> None:
    old = row(SubAccountName="Old", ChargePeriodStart="2026-09-01")
    none = row(SubAccountName="NULL", ChargePeriodStart="2026-09-10 10:30:00")
    for rows in ([old, row(), none], [none, row(), old]):
        assert grouped(tmp_path, rows).names.name_or_id(ACCOUNT, "sub-1") == "Team A"
    assert grouped(tmp_path, [none]).names.name_or_id(ACCOUNT, "sub-1") == "sub-1"


def test_an_account_with_two_issuers_is_grouped_as_one(tmp_path: Path) -> None:
    rows = [
        row(ConsumedUnit="Days", ChargePeriodStart="2026-09-02", InvoiceId="1"),
        row(BilledCost="0.004", PricingQuantity="", InvoiceId="2"),
        row(ResourceId="vm-2", ResourceName="teine"),
    ]
    one = [each | {"InvoiceIssuerName": "A"} for each in rows]
    two = [each | {"InvoiceIssuerName": "B"} for each in rows[1:]]
    keys = {make_account_key("acc-1", issuer): "acc-1" for issuer in "AB"}
    apart = grouped(tmp_path, one[:1] + two).with_accounts(keys)
    together = grouped(tmp_path, one).with_accounts(keys)
    assert apart.groups == together.groups
    assert apart.names == together.names


def test_only_charges_in_the_chosen_currency_are_grouped(tmp_path: Path) -> None:
    rows = [row(BillingCurrency="usd"), row(BilledCost="7"), row(BillingCurrency="USD")]
    bill = grouped(tmp_path, rows, "USD")
    assert bill.rows == 2
    assert bill.currencies == {"USD": 2, "EUR": 1}
    assert [sums.billed_cost for sums in bill.groups.values()] == [2]


def test_corrections_of_each_month_are_separate_lines(tmp_path: Path) -> None:
    def correction(start: str, end: str) -> dict[str, str]:
        return row(ChargeClass="Correction", ChargePeriodStart=start, ChargePeriodEnd=end)

    rows = [
        correction("2026-07-03", "2026-07-04"),
        correction("2026-08-03", "2026-08-04"),
        correction("2026-08-20", "2026-08-21"),
        row(ChargeClass="NULL"),
    ]
    sums = {key.corrected_month: each for key, each in grouped(tmp_path, rows).groups.items()}
    assert {month: each.charges for month, each in sums.items()} == {
        "": 1,
        "2026-07": 1,
        "2026-08": 2,
    }
    august = sums["2026-08"]
    assert (august.start, august.end) == (
        cells.parse_timestamp("2026-08-03"),
        cells.parse_timestamp("2026-08-21"),
    )


def test_charges_with_different_provider_invoices_are_one_line(tmp_path: Path) -> None:
    rows = [row(InvoiceId=invoice) for invoice in ("B", "A", "NULL", "B")]
    (sums,) = grouped(tmp_path, rows).groups.values()
    assert sums.invoice_ids == ("A", "B")


@given(st.lists(st.decimals(-1000, 1000, places=12), min_size=1, max_size=30))
def test_sums_are_exact(costs: list[Decimal]) -> None:
    cells_of = row()
    with TemporaryDirectory() as place:
        path = write(Path(place) / "f.csv", [{**cells_of, "BilledCost": str(c)} for c in costs])
        bill = read_bill([path])
    ((_, sums),) = bill.groups.items()
    assert sums.billed_cost * 10**12 == sum(int(cost * 10**12) for cost in costs)
