"""Every issued invoice is an e-invoice that the official rules accept, or is refused with reasons.

By default a sample of each set of invoices is judged, each in one profile; the slow tests judge
every invoice in every profile.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import pytest
from pypdf import PdfReader
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import get_currency
from app.billing.enums import BillingUnit, InvoiceState
from app.database.engine import Database
from app.dataio.focus.importer import import_focus_files
from app.dataio.focus.options import FocusImportOptions
from app.dataio.waldur.importer import import_waldur_database
from app.documents.pdf.rendering import make_pdf_with_e_invoice
from app.documents.profiles import FACTUR_X, PROFILES, Profile
from app.documents.requirements import find_problems
from app.documents.xml_documents import write_xml
from app.invoices.actions.set_currency import settle_currency
from app.invoices.jobs.freeze_issued import freeze_issued
from app.local.demo import ISSUER as DEMO_ISSUER
from app.local.demo import load
from app.settings import IssuerDetails, Settings
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories
from tests.support.frozen import Frozen, freeze_completed, frozen_documents
from tests.support.issued import COMPLETE, issuing
from tests.support.waldur import create_waldur
from tests.support.waldur_recorded import release_2024

SAMPLE: Final = 5
whole_or_sample = pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["sample", "whole"]
)
FILLED_IN: Final = {
    name: value for name, value in COMPLETE.items() if name not in ("name", "address")
}
"""The details of customers that neither Waldur nor cost exports have."""
Terms = set[tuple[str, str]]
"""Business terms with the official rules that require them."""
NO_ISSUER: Final[Terms] = {("BT-27", "BR-06"), ("BT-30", "BR-CO-26"), ("BT-40", "BR-09")}
NO_COUNTRY: Final[Terms] = {("BT-55", "BR-11"), ("BT-55", "BR-CL-14")}
NO_PEPPOL: Final[Terms] = {
    ("BT-10", "PEPPOL-EN16931-R003"),
    ("BT-34", "PEPPOL-EN16931-R020"),
    ("BT-49", "PEPPOL-EN16931-R010"),
}
NO_XRECHNUNG: Final[Terms] = {
    ("BT-10", "BR-DE-15"),
    ("BT-34", "PEPPOL-EN16931-R020"),
    ("BT-37", "BR-DE-3"),
    ("BT-38", "BR-DE-4"),
    ("BT-41", "BR-DE-2"),
    ("BT-42", "BR-DE-2"),
    ("BT-43", "BR-DE-2"),
    ("BT-52", "BR-DE-8"),
}
OF_SOME: Final[Terms] = {
    ("BT-49", "PEPPOL-EN16931-R010"),
    ("BT-53", "BR-DE-9"),
    ("BT-81", "BR-DE-1"),
}
"""What some customers and invoices have, and others lack for XRechnung."""


def problems(frozen: Frozen, profile: Profile) -> Terms:
    found = find_problems(frozen.document, [frozen.lines], profile)
    return {(problem.term, problem.rule) for problem in found}


def write(frozen: Frozen, profile: Profile) -> bytes:
    return write_xml(frozen.document, frozen.lines, profile)


def spread(documents: Sequence[Frozen], size: int) -> Sequence[Frozen]:
    """Return so many documents, from the shortest to the longest."""
    if len(documents) <= size:
        return documents
    return [documents[place * (len(documents) - 1) // (size - 1)] for place in range(size)]


def cases(documents: Sequence[Frozen], *, whole: bool) -> Iterable[tuple[Frozen, Profile]]:
    """Yield all documents in all profiles, or some of them in one profile each."""
    if whole:
        return [(frozen, profile) for frozen in documents for profile in PROFILES]
    return [
        (frozen, PROFILES[place % len(PROFILES)])
        for place, frozen in enumerate(spread(documents, SAMPLE))
    ]


def assert_clean(frozen: Frozen, profile: Profile) -> None:
    named = (frozen.document.number, profile.label)
    assert problems(frozen, profile) == set(), named
    assert judge(write(frozen, profile), profile).fatal == set(), named


def assert_refused_as_expected(documents: Sequence[Frozen], *, whole: bool) -> None:
    """Assert the reasons for which documents without any detail are refused."""
    for frozen in documents:
        basic = NO_ISSUER | (
            {("BT-31", "BR-S-02")} if frozen.document.tax_percent else {("BT-118", "BR-47")}
        )
        for profile in PROFILES:
            least, most = basic, basic | NO_COUNTRY
            if profile.is_peppol:
                least, most = least | NO_PEPPOL, most | NO_PEPPOL
            elif profile.is_xrechnung:
                least, most = least | NO_XRECHNUNG, most | NO_XRECHNUNG | OF_SOME
            assert least <= problems(frozen, profile) <= most
    for frozen, profile in cases(documents, whole=whole):
        assert judge(write(frozen, profile), profile).fatal


def assert_pdf(frozen: Frozen) -> None:
    """Assert that a PDF is made, with the e-invoice inside unless that is refused."""
    pdf = make_pdf_with_e_invoice(frozen.document, frozen.lines, default_locale="en")
    attachments = PdfReader(BytesIO(pdf)).attachments
    if problems(frozen, FACTUR_X):
        assert not attachments
    else:
        assert attachments["factur-x.xml"] == [write(frozen, FACTUR_X)]


@whole_or_sample
async def test_invoices_of_the_demonstration(
    database: Database, settings: Settings, *, whole: bool
) -> None:
    issuer = IssuerDetails.model_validate(DEMO_ISSUER)
    settings = settings.model_copy(update={"issuer_details": issuer})
    await load(database, settings)
    await freeze_issued(database, settings)
    documents = await frozen_documents(database)
    complete = [each for each in documents if each.document.buyer_reference]
    assert len(complete) > len(documents) / 2
    for frozen in documents:
        for profile in PROFILES:
            refused = profile.is_xrechnung and not frozen.document.buyer_reference
            assert problems(frozen, profile) == ({("BT-10", "BR-DE-15")} if refused else set())
    for frozen, profile in cases(complete, whole=whole):
        assert_clean(frozen, profile)
    for frozen in documents if whole else spread(documents, 2):
        assert_pdf(frozen)


@whole_or_sample
async def test_invoices_of_a_recorded_waldur_once_details_are_filled_in(
    *,
    database: Database,
    settings: Settings,
    empty_database_url: str,
    shared: Path,
    whole: bool,
) -> None:
    await create_waldur(empty_database_url, *release_2024(shared))
    await import_waldur_database(empty_database_url, database, settings)
    documents = await frozen_documents(database)
    assert len(documents) == 72
    assert_refused_as_expected(documents, whole=whole)
    await freeze_completed(database, issuing(settings), FILLED_IN)
    documents = await frozen_documents(database)
    assert len(documents) == 72
    for frozen, profile in cases(documents, whole=whole):
        assert_clean(frozen, profile)
    for frozen in documents if whole else spread(documents, 2):
        assert_pdf(frozen)


@whole_or_sample
async def test_invoices_of_a_cost_export_once_details_are_filled_in(
    database: Database, settings: Settings, shared: Path, *, whole: bool
) -> None:
    settings = settings.model_copy(update={"currency": get_currency("USD")})
    path = shared / "data" / "focus_sample.csv"
    await import_focus_files(database, settings, [path], FocusImportOptions(issue=True))
    documents = await frozen_documents(database)
    assert_refused_as_expected(documents, whole=whole)
    await freeze_completed(database, issuing(settings), FILLED_IN)
    documents = await frozen_documents(database)
    assert len(documents) == 4
    for frozen, profile in cases(documents, whole=whole):
        assert_clean(frozen, profile)
    for frozen in documents if whole else spread(documents, 2):
        assert_pdf(frozen)


Line = tuple[str, str, dict[str, Any]]
"""A unit price, a quantity, and other values of an item."""
PLAIN: Final[list[Line]] = [("10.005", "3", {})]
HARD: Final[dict[str, tuple[dict[str, Any], dict[str, Any], list[Line]]]] = {
    "ten decimals and negative lines": (
        {},
        {"tax_percent": Decimal("19.25")},
        [
            ("0.0000000523", "731487077.5388", {"measured_unit": "B"}),
            ("0.0183456789", "731.4870775388", {"measured_unit": "GB"}),
            ("0.3333333333", "33.3333333333", {"measured_unit": "cores"}),
            ("-12.3456789012", "1", {"credit": True}),
            ("0.0183456789", "-10.5", {"unit": BillingUnit.HALF_MONTH}),
            ("0", "7", {}),
        ],
    ),
    "in favour of the customer": ({}, {}, [("-0.0049999999", "1000", {"credit": True})]),
    "nothing": ({}, {}, []),
    "only a hidden line": ({}, {}, [("0", "1", {})]),
    "smallest price": ({}, {}, [("0.0000000001", "1", {})]),
    "whole prices": ({}, {}, [("1360", "2", {})]),
    "nearly all tax": ({}, {"tax_percent": Decimal("99.99")}, PLAIN),
    "large": ({}, {}, [("99999999999.9999999999", "9", {}), ("-0.01", "1", {})]),
    "outside the month": (
        {},
        {},
        [
            (
                "1",
                "1",
                {
                    "start": datetime(2025, 12, 31, 23, 59, tzinfo=UTC),
                    "end": datetime(2027, 1, 1, tzinfo=UTC),
                },
            )
        ],
    ),
    "odd names": (
        {
            "name": "Bell\x07 ﷽ مرحبا \u202e\u05e9\u05dc\u05d5\u05dd 👩🏽‍🚀 \ufffe",
            "address": "\x0b\r\n𠮷\r\nB\nC\nD\x85E",
        },
        {"payment_url": "#https://pay.example/?a=1&b=<2>"},
        [
            (
                "1",
                "1",
                {"name": "\x01", "project_name": "\x1f\U0001d518\u0378", "article_code": "]]>"},
            )
        ],
    ),
    **{
        f"category {category}": (
            {
                "tax_category": category,
                "tax_exemption_reason": "Exempt by law" if category == "E" else "",
            },
            {"tax_percent": Decimal(0)},
            PLAIN,
        )
        for category in ("Z", "E", "AE", "K", "G", "O")
    },
}
"""Values of the customer and of the invoice, and lines."""


async def issue_hard(
    make: Factories, settings: Settings, names: Iterable[str] = HARD, **values: Any
) -> None:
    invoices = []
    for name in names:
        customer, invoice, lines = HARD[name]
        owner = await make.customer(**COMPLETE | customer)
        issued = await make.invoice(owner, state=InvoiceState.CREATED, **values | invoice)
        for price, quantity, of_item in lines:
            await make.item(issued, price, quantity=Decimal(quantity), **of_item)
        invoices.append(issued)
    await make.freeze(issuing(settings), *invoices)


@whole_or_sample
async def test_hard_invoices(
    database: Database, make: Factories, settings: Settings, *, whole: bool
) -> None:
    await issue_hard(make, settings)
    documents = await frozen_documents(database)
    assert len(documents) == len(HARD)
    for place, frozen in enumerate(documents):
        for profile in PROFILES if whole else [PROFILES[place % len(PROFILES)]]:
            assert_clean(frozen, profile)
        if whole or place < 3:
            assert_pdf(frozen)


async def test_a_currency_without_decimals(
    database: Database, make: Factories, settings: Settings
) -> None:
    yen = settings.model_copy(update={"currency": get_currency("JPY")})
    await settle_currency(database, yen)
    await issue_hard(make, yen, ["nearly all tax", "whole prices"])
    fractions, whole_prices = await frozen_documents(database)
    assert [line.price for line in fractions.lines] == [31]
    for profile in PROFILES:
        assert_clean(whole_prices, profile)
        if profile.is_peppol:  # 30.015 is rounded to 31, too far for Peppol
            assert problems(fractions, profile) == {("BT-131", "PEPPOL-EN16931-R120")}
            assert "PEPPOL-EN16931-R120" in judge(write(fractions, profile), profile).fatal
        else:
            assert_clean(fractions, profile)


async def test_a_currency_with_three_decimals_has_no_e_invoice_but_a_pdf(
    database: Database, make: Factories, settings: Settings
) -> None:
    dinars = settings.model_copy(update={"currency": get_currency("KWD")})
    await settle_currency(database, dinars)
    await issue_hard(make, dinars, ["category Z"])
    (frozen,) = await frozen_documents(database)
    for profile in PROFILES:
        assert problems(frozen, profile) == {("BT-5", "BR-DEC-14")}
    assert_pdf(frozen)


@pytest.mark.slow
async def test_an_invoice_of_five_thousand_lines(
    database: Database, make: Factories, settings: Settings, connection: AsyncConnection
) -> None:
    invoice = await make.invoice(await make.customer(**COMPLETE), state=InvoiceState.CREATED)
    await connection.execute(
        text(
            "INSERT INTO invoice_items"
            ' (uuid, invoice_id, name, unit_price, quantity, unit, start, "end")'
            " SELECT gen_random_uuid(), :invoice, 'Line ' || n, 0.0183456789, n - 2500.5, 'hour',"
            " '2026-10-01', '2026-10-31' FROM generate_series(1, 5000) AS n"
        ),
        {"invoice": invoice.id},
    )
    await make.freeze(issuing(settings), invoice)
    (frozen,) = await frozen_documents(database)
    assert len(frozen.lines) == 5000
    for profile in PROFILES:
        assert_clean(frozen, profile)
    assert_pdf(frozen)
