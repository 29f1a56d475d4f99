"""`invoice document` writes documents of issued invoices; `invoice check` names what is missing."""

from pathlib import Path

import pytest
from pypdf import PdfReader

from app.billing.periods import Period
from app.documents.profiles import PEPPOL, PROFILES
from app.settings import Settings
from tests.cli.test_payments import call
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories, Row
from tests.support.issued import COMPLETE, issue_invoice


@pytest.fixture
async def invoice(make: Factories, settings: Settings) -> Row:
    return await issue_invoice(make, settings, "10", number=100001)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_a_pdf_is_written_by_uuid_or_number(
    settings: Settings, invoice: Row, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.pdf", tmp_path / "b.pdf"]
    for path, name in zip(paths, (invoice.uuid.hex, "100001"), strict=True):
        answer = await call(settings, "invoice", "document", name, "-o", str(path))
        assert answer == (0, "", "")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert "Invoice 100001" in PdfReader(paths[0]).pages[0].extract_text()


async def test_xml_is_written_in_a_profile(
    settings: Settings, invoice: Row, tmp_path: Path
) -> None:
    path = tmp_path / "a.xml"
    options = ("--format", "ubl", "--profile", "peppol", "-o", str(path))
    assert (await call(settings, "invoice", "document", "100001", *options))[0] == 0
    assert not judge(path.read_bytes(), PEPPOL).fatal


async def test_standard_output_gets_the_document(settings: Settings, invoice: Row) -> None:
    for kind, start in (("html", "<!DOCTYPE html>"), ("cii", "<?xml ")):
        arguments = ("invoice", "document", "100001", "--format", kind, "-o", "-")
        code, output, _ = await call(settings, *arguments)
        assert code == 0
        assert output.startswith(start)


async def test_what_is_missing_is_listed_and_nothing_is_written(
    settings: Settings, make: Factories, tmp_path: Path
) -> None:
    customer = await make.customer(**COMPLETE | {"buyer_reference": ""})
    await issue_invoice(make, settings, customer=customer, number=100001)
    path = tmp_path / "a.xml"
    options = ("--format", "ubl", "--profile", "xrechnung", "-o", str(path))
    code, _, errors = await call(settings, "invoice", "document", "100001", *options)
    assert code == 1
    assert errors.splitlines() == [
        "Invoice 100001 cannot be written as xrechnung: 1 value is missing or wrong.",
        "BT-10 buyer_reference of the customer: The reference of the buyer is missing. Set it in"
        f" customer {customer.uuid}, field buyer_reference, by an import of customers,"
        " then `python -m app document complete 100001`.",
    ]
    assert not [name for name in names_in(tmp_path) if "a.xml" in name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "x"), "Name one invoice, or give --month or --all."),
        (("1", "--all", "-o", "x"), "Name one invoice, or give --month or --all."),
        (("1",), "Name the file or folder with -o."),
        (("1", "--profile", "peppol", "-o", "x"), "A PDF file has no profile."),
        (
            ("1", "--format", "cii", "--profile", "peppol", "-o", "x"),
            "--profile is wrong: the profile must be one of en16931, xrechnung.",
        ),
    ],
)
async def test_contradicting_arguments_are_refused(
    settings: Settings, arguments: tuple[str, ...], message: str
) -> None:
    answer = await call(settings, "invoice", "document", *arguments)
    assert answer == (2, "", f"{message}\n")


async def test_only_an_issued_invoice_has_a_document(
    settings: Settings, make: Factories, tmp_path: Path
) -> None:
    await make.invoice(await make.customer(), number=100001)
    output = ("-o", str(tmp_path / "a.pdf"))
    answer = await call(settings, "invoice", "document", "100001", *output)
    assert answer == (1, "", "Invoice 100001 is not issued: it has no document yet.\n")
    answer = await call(settings, "invoice", "document", "7", *output)
    assert answer == (1, "", "There is no invoice 7.\n")


async def test_a_month_is_written_into_a_folder_but_what_lacks_data(
    settings: Settings, make: Factories, tmp_path: Path
) -> None:
    complete = await make.customer(**COMPLETE)
    bare = await make.customer(country="")
    for month in (9, 10):
        await issue_invoice(
            make, settings, customer=complete, number=100 + month, period=Period(2026, month)
        )
    await issue_invoice(make, settings, customer=bare, number=100)
    await make.invoice(await make.customer(), number=99)
    folder = tmp_path / "new" / "folder"
    options = ("--month", "2026-10", "--format", "cii", "-o", str(folder))
    code, output, errors = await call(settings, "invoice", "document", *options)
    assert (code, output) == (1, "")
    assert names_in(folder) == ["invoice-110-factur-x.xml"]
    first, missing, last = errors.splitlines()
    assert first == "Invoice 100 cannot be written as factur-x: 1 value is missing or wrong."
    assert missing.startswith("  BT-55 country of the customer: ")
    assert last == f"1 of 2 documents written to {folder}."

    every = ("--all", "-o", str(folder))
    assert (await call(settings, "invoice", "document", *every))[0] == 0
    assert names_in(folder)[1:] == [
        "invoice-109.pdf",
        "invoice-110-factur-x.xml",
        "invoice-110.pdf",
    ]


async def test_a_check_of_complete_invoices_succeeds(settings: Settings, invoice: Row) -> None:
    code, output, errors = await call(settings, "invoice", "check")
    assert code == 0
    assert output.splitlines() == [f"100001 {profile.label}: ok" for profile in PROFILES]
    assert errors == "All 1 invoices can be written in each profile.\n"


async def test_a_check_names_what_is_missing(settings: Settings, make: Factories) -> None:
    customer = await make.customer(**COMPLETE | {"buyer_reference": ""})
    await issue_invoice(make, settings, customer=customer, number=100001)
    await make.invoice(await make.customer(), number=99)
    code, output, errors = await call(settings, "invoice", "check", "--month", "2026-10")
    assert code == 1
    lines = output.splitlines()
    assert lines[0] == "100001 en16931: ok"
    assert lines[1].startswith("100001 peppol: BT-10 buyer_reference of the customer: ")
    assert errors.splitlines() == [
        "Of 1 invoices, 1 cannot be written in each profile.",
        "Set what is missing, then run `python -m app document complete --month 2026-10`.",
    ]
    assert (await call(settings, "invoice", "check", "--profile", "factur-x"))[0] == 0
    assert (await call(settings, "invoice", "check", "--month", "2026-09"))[0] == 0
