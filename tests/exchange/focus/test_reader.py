"""From a file to charges: which files are read, and how it is told why one is not."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from app.exchange.focus.problems import NotImported
from app.exchange.focus.reader import MANDATORY, Charge, read
from tests.exchange.focus.files import BASIC, row, write


def refusal(path: Path) -> str:
    with pytest.raises(NotImported) as caught:
        list(read(path))
    return str(caught.value)


def only(path: Path) -> Charge:
    (charge,) = read(path)
    return charge


def test_order_of_columns_extra_ones_and_the_way_they_are_written(tmp_path: Path) -> None:
    plain = only(write(tmp_path / "plain.csv", [row()]))
    columns = [*reversed(BASIC), "x_Own", "Tags"]
    extra = row(x_Own="1", Tags='{"a": "b,c"}')
    assert only(write(tmp_path / "other.csv", [extra], columns)) == plain
    text = (tmp_path / "plain.csv").read_text(encoding="utf-8")
    header, rest = text.split("\n", 1)
    odd = header.replace("BilledCost", "billed_cost").replace("SubAccountId", "Sub Account ID")
    assert odd != header
    marked = tmp_path / "marked.csv"
    marked.write_text(f"{odd}\n{rest}", encoding="utf-8-sig")
    assert only(marked) == plain


def test_a_packed_file(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.csv", [row()])
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert only(packed) == only(plain)
    packed.write_bytes(packed.read_bytes()[:-20])
    assert "cannot be read" in refusal(packed)


def test_empty_cells(tmp_path: Path) -> None:
    charge = only(
        write(
            tmp_path / "f.csv",
            [
                row(
                    ResourceId="NULL",
                    SubAccountId="",
                    PricingQuantity="NULL",
                    ConsumedQuantity="",
                    ServiceCategory="NULL",
                    ServiceName="",
                    BillingAccountName=" ",
                )
            ],
        )
    )
    assert charge.resource == charge.sub_account == charge.account_name == ""
    assert charge.pricing_quantity is None
    assert charge.consumed_quantity is None
    assert (charge.category, charge.service) == ("Other", "Other")


@pytest.mark.parametrize(
    ("cells", "provider"),
    [
        ({"ProviderName": "A"}, "A"),
        ({"ServiceProviderName": "B"}, "B"),
        ({"ProviderName": "A", "ServiceProviderName": "B"}, "B"),
        ({"ProviderName": "A", "ServiceProviderName": "NULL"}, "A"),
        ({"ProviderName": "", "PublisherName": "P", "InvoiceIssuerName": "I"}, "I"),
    ],
)
def test_providers_of_every_version(tmp_path: Path, cells: dict[str, str], provider: str) -> None:
    cells = {key: value for key, value in BASIC.items() if key != "ProviderName"} | cells
    assert only(write(tmp_path / "f.csv", [cells], list(cells))).provider == provider


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", [row()], ["BillingAccountId", "ChargePeriodEnd"])
    told = refusal(path)
    for name in MANDATORY:
        assert (name in told) == (name not in ("BillingAccountId", "ChargePeriodEnd"))
    assert "ServiceProviderName (or ProviderName)" in told


def test_what_is_no_file_of_charges(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    assert "No such file" in refusal(path)
    path.write_bytes(b"")
    assert refusal(path) == "The file is empty."
    path.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in refusal(path)
    write(path, [row()], [*BASIC, "BilledCost"])
    assert refusal(path) == "The column BilledCost is there twice."


def test_wrong_cells_are_told_by_line_and_column(tmp_path: Path) -> None:
    rows = [
        row(),
        row(ChargeDescription="two\nlines"),
        row(BilledCost="x"),
        row(ChargePeriodEnd="2026-01-01"),
        row(BillingPeriodEnd="2026-09-01"),
        row(BillingAccountId="NULL"),
        row(ChargeCategory=""),
        row(ProviderName="NULL"),
    ]
    path = write(tmp_path / "f.csv", rows)
    with path.open("a") as file:
        file.write("a,b\n")
    assert refusal(path).splitlines() == [
        "line 5: BilledCost is not a number: x",
        "line 6: ChargePeriodEnd is before ChargePeriodStart",
        "line 7: BillingPeriodEnd is not after BillingPeriodStart",
        "line 8: BillingAccountId is empty",
        "line 9: ChargeCategory is empty",
        "line 10: ProviderName is empty",
        f"line 11: has 2 cells where the header has {len(BASIC)}",
    ]


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    lines = refusal(write(tmp_path / "f.csv", [row(BilledCost="x")] * 30)).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more wrong rows"


def test_a_quote_that_does_not_end(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", [row()])
    with path.open("a") as file:
        file.write('"open')
    assert "unexpected end of data" in refusal(path)


def test_long_cells_and_progress(tmp_path: Path) -> None:
    seen: list[float] = []
    rows = [row(Tags="t" * 200_000)] + [row()] * 1500
    charges = list(read(write(tmp_path / "f.csv", rows, [*BASIC, "Tags"]), seen.append))
    assert len(charges) == 1501
    assert charges[0].billed_cost == Decimal(1)
    assert seen == sorted(seen)
    assert seen[-1] == 1
