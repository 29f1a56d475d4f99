"""From a file to charges: the files that are read, and the reasons that others are refused with."""

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from app.dataio.focus.bill_reader import read_bill, read_file
from app.dataio.focus.column_names import REQUIRED
from app.dataio.focus.engine import open_engine
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.row_parser import Charge
from tests.dataio.focus.files import BASIC, row, write


def refusal(path: Path) -> str:
    with pytest.raises(FocusImportError) as caught:
        read_bill([path])
    return str(caught.value)


def only(path: Path) -> Charge:
    with open_engine() as engine:
        _, (equal,) = read_file(engine, path)
    return equal.charge


def test_columns_may_have_any_order_and_spelling(tmp_path: Path) -> None:
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


def test_a_file_compressed_with_gzip_is_read(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.csv", [row()])
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert only(packed) == only(plain)
    packed.write_bytes(packed.read_bytes()[:-20])
    assert "cannot be read" in refusal(packed)


def test_empty_cells_have_defaults(tmp_path: Path) -> None:
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
def test_the_provider_is_read_from_the_columns_of_every_version(
    tmp_path: Path, cells: dict[str, str], provider: str
) -> None:
    cells = {key: value for key, value in BASIC.items() if key != "ProviderName"} | cells
    assert only(write(tmp_path / "f.csv", [cells], list(cells))).provider == provider


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", [row()], ["BillingAccountId", "ChargePeriodEnd"])
    message = refusal(path)
    for name in REQUIRED:
        assert (name in message) == (name not in ("BillingAccountId", "ChargePeriodEnd"))
    assert "ServiceProviderName (or ProviderName)" in message


def test_a_file_that_is_not_a_cost_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    assert "No such file" in refusal(path)
    path.write_bytes(b"")
    assert refusal(path) == "The file is empty."
    path.write_bytes("Tähtis".encode("latin-1"))
    assert "not UTF-8" in refusal(path)
    path.write_bytes(b"\n\n")
    assert refusal(path) == "The file is empty."
    write(path, [row()], [*BASIC, "BilledCost"])
    assert refusal(path) == "The file has the column BilledCost twice."
    write(path, [row()], [*BASIC, "Billed cost"])
    assert refusal(path) == "The file has the column Billed cost twice."


def test_invalid_cells_are_reported_with_line_and_column(tmp_path: Path) -> None:
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
        'line 5: BilledCost is not a number: "x"',
        "line 6: ChargePeriodEnd is before ChargePeriodStart",
        "line 7: BillingPeriodEnd is not after BillingPeriodStart",
        "line 8: BillingAccountId is empty",
        "line 9: ChargeCategory is empty",
        "line 10: ProviderName is empty",
        f"line 11: has 2 cells, but the header has {len(BASIC)}",
    ]


@pytest.mark.parametrize("title", ["ResourceName", "Tags"])
def test_used_and_unused_columns_must_be_utf_8(tmp_path: Path, title: str) -> None:
    path = write(
        tmp_path / "f.csv", [row()] * 3 + [row(**{title: "t\u00e4htis"})], [*BASIC, "Tags"]
    )
    assert read_bill([path]).rows == 4
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert refusal(path).startswith(f"{path} is not UTF-8 text: ")


def test_invalid_rows_beyond_the_first_are_counted(tmp_path: Path) -> None:
    lines = refusal(write(tmp_path / "f.csv", [row(BilledCost="x")] * 30)).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 10 more invalid rows"


def test_an_open_quote_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", [row()])
    with path.open("a") as file:
        file.write('"open')
    assert "unexpected end of data" in refusal(path)


def test_long_cells_are_read_and_the_progress_is_reported(tmp_path: Path) -> None:
    seen: list[float] = []
    rows = [row(Tags="t" * 200_000)] + [row()] * 1500
    path = write(tmp_path / "f.csv", rows, [*BASIC, "Tags"])
    bill = read_bill([path], progress=seen.append)
    assert bill.rows == 1501
    assert [group.billed_cost for group in bill.groups.values()] == [1501]
    assert seen == sorted(seen)
    assert seen[-1] == 1


def renamed(cells: dict[str, str], **names: str) -> dict[str, str]:
    """Give cells other titles."""
    return {names.get(title, title): cell for title, cell in cells.items()}


OF_PREVIEW = {
    "ProviderName": "Provider",
    "PublisherName": "Publisher",
    "InvoiceIssuerName": "InvoiceIssuer",
    "ConsumedQuantity": "UsageQuantity",
    "ConsumedUnit": "UsageUnit",
}


def test_the_column_names_of_1_0_preview_are_read(tmp_path: Path) -> None:
    today = row(InvoiceIssuerName="Pilveke AS", PublisherName="Tootja")
    preview = renamed(today, **OF_PREVIEW)
    expected = only(write(tmp_path / "today.csv", [today], list(today)))
    assert only(write(tmp_path / "preview.csv", [preview], list(preview))) == expected
    assert (expected.provider, expected.consumed_quantity) == ("Pilveke", Decimal(1))
    spaced = renamed(today, InvoiceIssuerName="Invoice Issuer", ProviderName="Provider")
    assert only(write(tmp_path / "spaced.csv", [spaced], list(spaced))) == expected


def test_of_two_names_of_one_column_the_newer_is_read(tmp_path: Path) -> None:
    both = row(Provider="Old", UsageQuantity="7")
    charge = only(write(tmp_path / "f.csv", [both], list(both)))
    assert (charge.provider, charge.consumed_quantity) == ("Pilveke", Decimal(1))


def test_a_credit_of_1_0_preview_is_a_credit(tmp_path: Path) -> None:
    def category(**cells: str) -> str:
        columns = [*BASIC, "ChargeSubcategory"]
        return only(write(tmp_path / "f.csv", [row(**cells)], columns)).charge_category

    assert category(ChargeCategory="Adjustment", ChargeSubcategory="Credit") == "Credit"
    assert category(ChargeCategory="Adjustment", ChargeSubcategory="Refund") == "Adjustment"
    assert category(ChargeCategory="Usage", ChargeSubcategory="On-Demand") == "Usage"


def test_only_the_required_columns_must_exist(tmp_path: Path) -> None:
    columns = [*REQUIRED, "ServiceProviderName"]
    charge = only(write(tmp_path / "f.csv", [row(ServiceProviderName="New")], columns))
    assert (charge.provider, charge.category, charge.description) == ("New", "Other", "")
    assert charge.pricing_quantity is charge.consumed_quantity is None
    assert charge.pricing_unit == charge.charge_class == charge.invoice_id == ""


@pytest.mark.parametrize("category", ["Usage", "Purchase", "Tax", "Credit", "Adjustment"])
def test_a_category_is_known_in_any_case(tmp_path: Path, category: str) -> None:
    for spelt in (category, category.lower(), f" {category.upper()} "):
        charge = only(write(tmp_path / "f.csv", [row(ChargeCategory=spelt)]))
        assert charge.charge_category == category


def test_corrections_and_provider_invoices_are_read(tmp_path: Path) -> None:
    columns = [*BASIC, "ChargeClass", "InvoiceId"]
    for spelt, known in (("Correction", "Correction"), ("CORRECTION", "Correction"), ("", "")):
        path = write(tmp_path / "f.csv", [row(ChargeClass=spelt, InvoiceId="A-1")], columns)
        assert (only(path).charge_class, only(path).invoice_id) == (known, "A-1")


def test_unknown_categories_and_classes_are_refused(tmp_path: Path) -> None:
    rows = [row(ChargeCategory="Taxes"), row(ChargeClass="Late")]
    message = refusal(write(tmp_path / "f.csv", rows, [*BASIC, "ChargeClass"]))
    known = "Usage, Purchase, Tax, Credit, Adjustment"
    assert message.splitlines() == [
        f'line 2: ChargeCategory is none of {known}: "Taxes"',
        'line 3: ChargeClass is neither Correction nor empty: "Late"',
    ]


@pytest.mark.parametrize(
    ("start", "end"),
    [("2026-09-01", "2026-09-04"), ("2026-09-10", "2026-10-10"), ("2026-09-01", "2026-11-01")],
)
def test_a_billing_period_that_is_not_a_month_is_refused(
    tmp_path: Path, start: str, end: str
) -> None:
    bad = row(BillingPeriodStart=start, BillingPeriodEnd=end)
    assert refusal(write(tmp_path / "f.csv", [row(), bad])) == (
        "line 3: BillingPeriodStart to BillingPeriodEnd is not a calendar month: "
        f'"{start}" to "{end}"'
    )


@pytest.mark.parametrize(
    ("content", "called"),
    [
        (b"PK\x03\x04\x14\x00", "a ZIP archive or an Excel workbook"),
        (b"\x28\xb5\x2f\xfd\x04", "compressed with Zstandard"),
        (gzip.compress(gzip.compress(b"a,b", mtime=0), mtime=0), "compressed with gzip twice"),
        ("BilledCost,".encode("utf-16"), "text in UTF-16"),
        ("BilledCost,".encode("utf-16-be"), "text in UTF-16"),
        ("BilledCost,".encode("utf-16-le"), "text in UTF-16"),
        (b'\n [{"BilledCost": 1}]', "JSON"),
        (b'\xef\xbb\xbf{"BilledCost": 1}', "JSON"),
        (b"<!DOCTYPE html><title>Sign in</title>", "XML or a web page"),
    ],
)
def test_other_formats_are_refused_with_a_remedy(
    tmp_path: Path, content: bytes, called: str
) -> None:
    path = tmp_path / "costs.csv"
    path.write_bytes(content)
    message = refusal(path).splitlines()
    assert message[0].startswith(f"The file is {called}")
    assert "CSV" in message[1]


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(write(tmp_path / "f.csv", [row()] * 100).read_bytes()))
    packed[20:40] = bytes(20)
    path = tmp_path / "f.csv.gz"
    path.write_bytes(packed)
    assert "cannot be read" in refusal(path)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_refused_with_a_hint(tmp_path: Path, separator: str) -> None:
    path = write(tmp_path / "f.csv", [row()])
    path.write_text(path.read_text(encoding="utf-8").replace(",", separator), encoding="utf-8")
    assert "Its cells are separated by" in refusal(path)


def test_titles_in_the_middle_of_a_file_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", [row()])
    path.write_bytes(path.read_bytes() * 2)
    assert refusal(path).startswith("line 3: repeats the column titles")


def test_empty_lines_and_empty_cells_after_the_last_column_are_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", [row(), row(BilledCost="2")])
    header, first, second = path.read_text(encoding="utf-8").splitlines()
    commas = "," * (len(BASIC) - 1)
    lines = ["", f"{header},,", "", f"{first},,", f"{second}", commas, ""]
    path.write_text("\r\n".join(lines), encoding="utf-8")
    bill = read_bill([path])
    assert bill.rows == 2
    assert [group.billed_cost for group in bill.groups.values()] == [3]
    path.write_text("\n".join([header, f"{first},,,", f"{second},,x"]), encoding="utf-8")
    assert refusal(path) == f"line 3: has {len(BASIC) + 2} cells, but the header has {len(BASIC)}"
