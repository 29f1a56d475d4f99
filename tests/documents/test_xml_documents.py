"""Documents as XML: exact bytes, and the official schemas and rules."""

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from app.billing.enums import BillingUnit
from app.documents.document import DocumentLine, FrozenDocument
from app.documents.profiles import (
    CII_XRECHNUNG,
    FACTUR_X,
    PEPPOL,
    PROFILES,
    UBL_EN16931,
    UBL_XRECHNUNG,
    Profile,
    Syntax,
    get_profile,
)
from app.documents.requirements import Requirements, find_problems
from app.documents.xml_documents import create_writer, write_xml
from tests.support.documents import BUYER, EXAMPLES, SELLER, make_document, make_line
from tests.support.einvoice_rules import judge

EXPECTED = Path(__file__).parent / "expected"
every_profile = pytest.mark.parametrize(
    "profile", PROFILES, ids=lambda profile: f"{profile.syntax}-{profile.name}"
)


def assert_clean(document: FrozenDocument, lines: list[DocumentLine], profile: Profile) -> None:
    assert not find_problems(document, [lines], profile)
    verdict = judge(write_xml(document, lines, profile), profile)
    assert not verdict.fatal
    assert not verdict.warnings


def local_texts(xml: bytes, name: str) -> list[str | None]:
    """Return the texts of all elements with a name, of any namespace."""
    return [element.text for element in etree.fromstring(xml).iter(f"{{*}}{name}")]


@every_profile
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_document_is_written_as_these_bytes(name: str, profile: Profile) -> None:
    document, lines = EXAMPLES[name]()
    path = EXPECTED / f"{name}.{profile.syntax}.{profile.name}.xml"
    assert write_xml(document, lines, profile) == path.read_bytes()


@every_profile
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_official_rules_accept_the_document(name: str, profile: Profile) -> None:
    document, lines = EXAMPLES[name]()
    assert_clean(document, list(lines), profile)


@every_profile
def test_batches_make_the_same_bytes_as_one_list(profile: Profile) -> None:
    document, lines = EXAMPLES["hard"]()
    writer = create_writer(document, profile)
    parts = [writer.begin(), *(writer.lines([line]) for line in lines), writer.end()]
    assert b"".join(parts) == write_xml(document, lines, profile)


@every_profile
def test_memory_does_not_depend_on_the_number_of_lines(profile: Profile) -> None:
    batches = 20
    batch = [make_line(number) for number in range(1, 101)]
    document = make_document(batch * batches)
    tracemalloc.start()
    try:
        requirements, writer = Requirements(document, profile), create_writer(document, profile)
        size = len(writer.begin())
        for _ in range(batches):
            requirements.check_lines(batch)
            size += len(writer.lines(batch))
        size += len(writer.end())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not requirements.problems()
    assert peak < size / 2


@pytest.mark.slow
@every_profile
def test_a_document_of_five_thousand_lines_is_clean(profile: Profile) -> None:
    lines = [make_line(number) for number in range(1, 5001)]
    assert_clean(make_document(lines), lines, profile)


@every_profile
def test_a_document_without_charges_has_one_line(profile: Profile) -> None:
    lines = [make_line(price=Decimal(0), quantity=Decimal(0))]
    document = make_document(lines)
    assert_clean(document, lines, profile)
    assert "No charges" in local_texts(write_xml(document, lines, profile), "Name")


@every_profile
def test_an_invoice_in_the_favour_of_the_customer_is_clean(profile: Profile) -> None:
    lines = [make_line(unit_price=Decimal(-10), credit=True)]
    document = make_document(lines)
    assert_clean(document, lines, profile)
    xml = write_xml(document, lines, profile)
    assert b"To be credited." in xml
    assert b"2026-12-01" not in xml
    assert b"20261201" not in xml


@every_profile
@pytest.mark.parametrize("category", ["Z", "E", "AE", "K", "G", "O"])
def test_a_document_without_tax_is_clean_in_each_category(category: str, profile: Profile) -> None:
    lines = [make_line()]
    reason = "Exempt by law" if category == "E" else ""
    document = make_document(
        lines, tax_percent=Decimal(0), tax_category=category, tax_exemption_reason=reason
    )
    assert_clean(document, lines, profile)


@every_profile
def test_a_document_outside_vat_has_no_vat_numbers(profile: Profile) -> None:
    document = make_document([make_line()], tax_percent=Decimal(0), tax_category="O")
    name = "PartyTaxScheme" if profile.syntax is Syntax.UBL else "SpecifiedTaxRegistration"
    assert not local_texts(write_xml(document, [make_line()], profile), name)


@every_profile
@pytest.mark.parametrize(
    ("seller", "document", "code"),
    [
        ({}, {}, "58"),
        ({"bank_account": "EE38 2200 2210 2014 5686"}, {}, "30"),
        ({"bank_account": "12-345", "bic": ""}, {}, "30"),
        ({}, {"currency": "SEK"}, "30"),
        ({"bank_account": "", "bic": ""}, {}, "68"),
    ],
)
def test_the_means_of_payment_follow_the_account(
    profile: Profile, seller: dict[str, str], document: dict[str, str], code: str
) -> None:
    made = make_document([make_line()], seller=replace(SELLER, **seller), **document)
    name = "PaymentMeansCode" if profile.syntax is Syntax.UBL else "TypeCode"
    xml = write_xml(made, [make_line()], profile)
    assert code in local_texts(xml, name)
    assert not judge(xml, profile).fatal


@every_profile
def test_a_document_of_a_seller_with_a_tax_number_alone_is_clean(profile: Profile) -> None:
    seller = replace(SELLER, vat_code="", tax_number="12/345/67890")
    assert_clean(make_document([make_line()], seller=seller), [make_line()], profile)


@every_profile
def test_a_currency_without_decimals_is_written_without(profile: Profile) -> None:
    lines = [make_line(unit_price=Decimal(1360), currency="JPY")]
    document = make_document(lines, currency="JPY")
    assert_clean(document, lines, profile)
    assert b"1360</" in write_xml(document, lines, profile)


@every_profile
def test_a_party_that_is_hardly_known_is_left_out_where_nothing_requires_it(
    profile: Profile,
) -> None:
    keys = ("address", "endpoint", "contact_name", "phone_number", "registration_code", "city")
    buyer = replace(BUYER, **dict.fromkeys(keys, " "), postal="")
    document = make_document([make_line()], buyer=buyer, note="", agreement_number="\t")
    if find_problems(document, [[make_line()]], profile):
        assert profile is not UBL_EN16931
        assert profile is not FACTUR_X
    else:
        assert_clean(document, [make_line()], profile)


@pytest.mark.parametrize("profile", [UBL_XRECHNUNG, CII_XRECHNUNG], ids=["ubl", "cii"])
def test_xrechnung_takes_the_mail_address_where_there_is_no_electronic_one(
    profile: Profile,
) -> None:
    document = make_document(
        [make_line()],
        seller=replace(SELLER, endpoint="", endpoint_scheme=""),
        buyer=replace(BUYER, endpoint="", endpoint_scheme=""),
    )
    assert_clean(document, [make_line()], profile)


@every_profile
def test_characters_that_xml_forbids_are_dropped(profile: Profile) -> None:
    bad = "\x07\ufffe\uffff\ud800"
    buyer = replace(BUYER, name=f"Bell{bad} & <Söhne>\r\n𠮷", address=f"{bad}\nA\r\nB\nC\nD")
    lines = [make_line(name=f"{bad} ", offering_name=f"vm{bad}\x85"), make_line(2, name=bad)]
    document = make_document(lines, buyer=buyer, order_reference="   ", note=bad)
    assert_clean(document, lines, profile)
    xml = write_xml(document, lines, profile)
    texts = {element.text for element in etree.fromstring(xml).iter()}
    assert {"Bell & <Söhne>\n𠮷", "A", "B", "C, D", "vm", "Item 2"} <= texts


@every_profile
@pytest.mark.parametrize("unit", BillingUnit)
def test_a_line_of_each_unit_is_clean(profile: Profile, unit: BillingUnit) -> None:
    lines = [make_line(unit=unit), make_line(2, unit=unit, measured_unit="GB")]
    assert_clean(make_document(lines), lines, profile)


def test_a_line_that_ends_before_it_starts_has_no_period() -> None:
    line = make_line(end=datetime(2026, 9, 1, tzinfo=UTC))
    for profile in PROFILES:
        assert_clean(make_document([line]), [line], profile)


def test_a_line_in_another_time_zone_has_its_dates_in_utc() -> None:
    line = make_line(start=datetime.fromisoformat("2026-10-01T01:00:00+03:00"))
    document = make_document([line], period_start=datetime(2026, 9, 30, tzinfo=UTC).date())
    assert_clean(document, [line], PEPPOL)
    dates = local_texts(write_xml(document, [line], PEPPOL), "StartDate")
    assert dates == ["2026-09-30", "2026-09-30"]


@pytest.mark.parametrize(
    ("profile", "before", "after", "rule"),
    [
        (UBL_EN16931, b'"EUR">57.20</cbc:LineE', b'"EUR">57.21</cbc:LineE', "BR-CO-10"),
        (UBL_EN16931, b'"EUR">70.93</cbc:Pay', b'"EUR">70.94</cbc:Pay', "BR-CO-16"),
        (UBL_EN16931, b">24</cbc:Percent>", b">20</cbc:Percent>", "BR-S-09"),
        (UBL_EN16931, b'"EUR">37.20<', b'"EUR">37.20000<', "BR-DEC-23"),
        (UBL_EN16931, b'unitCode="HUR"', b'unitCode="hours"', "BR-CL-23"),
        (UBL_EN16931, b"<cbc:ID>100001</cbc:ID>", b"", "BR-02"),
        (PEPPOL, b'"EUR">37.20<', b'"EUR">37.30<', "PEPPOL-EN16931-R120"),
        (PEPPOL, b"<cbc:ProfileID>", b"<cbc:ProfileID>x", "PEPPOL-EN16931-R007"),
        (UBL_XRECHNUNG, b"#compliant#urn:xeinkauf", b"#conformant#urn:x", "BR-DE-21"),
        (FACTUR_X, b"en16931:2017<", b"en16931:2018<", "FX-SCH-A-000556"),
        (FACTUR_X, b"70.93</ram:Due", b"70.94</ram:Due", "BR-CO-16"),
        (CII_XRECHNUNG, b"57.20</ram:TaxB", b"57.30</ram:TaxB", "BR-CO-13"),
        (CII_XRECHNUNG, b"<ram:BuyerReference>", b"<ram:BuyerOrder>", "XSD"),
    ],
)
def test_a_document_that_was_tampered_with_is_refused(
    profile: Profile, before: bytes, after: bytes, rule: str
) -> None:
    document, lines = EXAMPLES["plain"]()
    xml = write_xml(document, lines, profile)
    assert before in xml
    changed = xml.replace(before, after)
    if rule == "XSD":
        changed = changed.replace(b"</ram:BuyerReference>", b"</ram:BuyerOrder>")
    verdict = judge(changed, profile)
    assert rule in verdict.fatal | verdict.warnings


def test_a_profile_is_named_with_its_syntax() -> None:
    assert get_profile(Syntax.CII, "en16931") is FACTUR_X
    with pytest.raises(ValueError, match="one of en16931, xrechnung"):
        get_profile(Syntax.CII, "peppol")


decimals = st.decimals(-100_000, 100_000, places=10)
lines_of_any_amount = st.lists(
    st.tuples(decimals, decimals, st.sampled_from(BillingUnit)), max_size=8
)
percents = st.just(Decimal(0)) | st.decimals("0.5", 99, places=2)


def read_amounts(xml: bytes, profile: Profile) -> dict[str, list[Decimal]]:
    """Return the amounts of a file as they were written."""
    names = {
        Syntax.UBL: ("PayableAmount", "TaxExclusiveAmount", "LineExtensionAmount"),
        Syntax.CII: ("DuePayableAmount", "TaxBasisTotalAmount", "LineTotalAmount"),
    }[profile.syntax]
    gross, net, lines = ([Decimal(text or "") for text in local_texts(xml, name)] for name in names)
    # The total has the name of the lines' amounts, too: UBL writes it first, CII last.
    return {
        "gross": gross,
        "net": net,
        "lines": lines[1:] if profile.syntax is Syntax.UBL else lines[:-1],
    }


def check_random_document(data: st.DataObject) -> None:
    profile = data.draw(st.sampled_from(PROFILES))
    percent = data.draw(percents)
    lines = [
        make_line(number, unit_price=price, quantity=quantity, unit=unit)
        for number, (price, quantity, unit) in enumerate(data.draw(lines_of_any_amount), start=1)
    ]
    document = make_document(lines, tax_percent=percent, tax_category="" if percent else "Z")
    assert_clean(document, lines, profile)
    amounts = read_amounts(write_xml(document, lines, profile), profile)
    assert amounts == {
        "gross": [document.gross],
        "net": [document.net],
        "lines": [line.price for line in lines if line.price] or [Decimal(0)],
    }


@settings(max_examples=30)
@given(st.data())
def test_random_documents_are_clean_and_keep_their_amounts(data: st.DataObject) -> None:
    check_random_document(data)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_many_random_documents_are_clean_and_keep_their_amounts(data: st.DataObject) -> None:
    check_random_document(data)
