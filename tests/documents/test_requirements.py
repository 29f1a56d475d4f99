"""A missing value is named by its term, and the official rules refuse a document without it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.documents.document import DocumentKind, FrozenDocument, Party, PrecedingInvoice
from app.documents.problems import Problem, Subject
from app.documents.profiles import (
    CII_XRECHNUNG,
    FACTUR_X,
    PEPPOL,
    PROFILES,
    UBL_EN16931,
    UBL_XRECHNUNG,
    Profile,
)
from app.documents.requirements import find_problems
from app.documents.xml_documents import write_xml
from tests.support.documents import BUYER, SELLER, make_document, make_line
from tests.support.einvoice_rules import judge

XRECHNUNG = (UBL_XRECHNUNG, CII_XRECHNUNG)
NETWORKS = (PEPPOL, *XRECHNUNG)
NO_ACCOUNT = {"bank_account": "", "bic": ""}
NO_VAT = {"vat_code": ""}


@dataclass(frozen=True)
class Case:
    """A document with one value missing or wrong, and what must be found in it."""

    term: str
    rule: str
    profiles: tuple[Profile, ...] = PROFILES
    seller: Mapping[str, Any] = field(default_factory=dict)
    buyer: Mapping[str, Any] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    germans: bool = False

    def make(self) -> FrozenDocument:
        seller = GERMAN_SELLER if self.germans else SELLER
        return make_document(
            [make_line(currency=self.document.get("currency", "EUR"))],
            **{
                "seller": replace(seller, **self.seller),
                "buyer": replace(BUYER, **self.buyer),
                **self.document,
            },
        )


def exempt(category: str, **values: str) -> dict[str, Any]:
    return {"tax_percent": Decimal(0), "tax_category": category, **values}


def from_country(country: str, **values: str) -> dict[str, Any]:
    return {
        "country": country,
        "vat_code": f"{country}123456789",
        "registration_code": "12345678",
        "registration_scheme": "",
        **values,
    }


GERMAN_SELLER = replace(
    SELLER,
    **from_country(
        "DE", bank_account="DE89370400440532013000", bic="", city="Jena", postal="07743"
    ),
)
DUTCH = from_country("NL", registration_scheme="0106")
ICELANDIC = from_country("IS", registration_scheme="0196")
SWEDISH = from_country("SE", vat_code="SE556036079301", registration_code="5560360793")
REGISTERED_BUYER = {"registration_scheme": "0106"}

CASES = [
    Case("BT-27", "BR-06", seller={"name": "", "account_holder": "Holder"}),
    Case("BT-44", "BR-07", buyer={"name": " \n"}),
    Case("BT-40", "BR-09", seller={"country": ""}),
    Case("BT-55", "BR-11", buyer={"country": ""}),
    Case("BT-40", "BR-CL-14", seller={"country": "XX"}),
    Case("BT-31", "BR-CO-09", seller={"vat_code": "123456789"}),
    Case("BT-48", "BR-CO-09", buyer={"vat_code": "123456789"}),
    Case("BT-30", "BR-CL-11", seller={"registration_scheme": "9999"}),
    Case("BT-47", "BR-CL-11", buyer={"registration_scheme": "9999"}),
    Case("BT-34", "BR-CL-25", seller={"endpoint_scheme": "9999"}),
    Case("BT-49", "BR-CL-25", buyer={"endpoint_scheme": "9999"}),
    Case("BT-34", "PEPPOL-EN16931-R020", NETWORKS, seller={"endpoint": "", "email": ""}),
    Case("BT-49", "PEPPOL-EN16931-R010", NETWORKS, buyer={"endpoint": "", "email": ""}),
    Case("BT-31", "BR-S-02", seller=NO_VAT),
    Case("BT-30", "BR-CO-26", seller={**NO_VAT, "registration_code": "", "tax_number": "1/2/3"}),
    Case("BT-37", "BR-DE-3", XRECHNUNG, seller={"city": ""}),
    Case("BT-38", "BR-DE-4", XRECHNUNG, seller={"postal": ""}),
    Case("BT-41", "BR-DE-5", XRECHNUNG, seller={"contact_name": ""}),
    Case("BT-42", "BR-DE-6", XRECHNUNG, seller={"phone_number": ""}),
    Case("BT-43", "BR-DE-7", XRECHNUNG, seller={"email": ""}),
    Case(
        "BT-41",
        "BR-DE-2",
        XRECHNUNG,
        seller={"contact_name": "", "phone_number": "", "email": ""},
    ),
    Case("BT-52", "BR-DE-8", XRECHNUNG, buyer={"city": ""}),
    Case("BT-53", "BR-DE-9", XRECHNUNG, buyer={"postal": ""}),
    Case("BT-10", "BR-DE-15", XRECHNUNG, document={"buyer_reference": " "}),
    Case("BT-81", "BR-DE-1", XRECHNUNG, seller=NO_ACCOUNT, document={"payment_url": ""}),
    Case(
        "BT-10",
        "PEPPOL-EN16931-R003",
        (PEPPOL,),
        document={"buyer_reference": "", "order_reference": ""},
    ),
    Case("BT-34", "PEPPOL-EN16931-CL008", (PEPPOL,), seller={"endpoint_scheme": "EM"}),
    Case(
        "BT-49",
        "PEPPOL-COMMON-R040",
        (PEPPOL,),
        buyer={"endpoint": "7300010000002", "endpoint_scheme": "0088"},
    ),
    Case(
        "BT-49",
        "PEPPOL-COMMON-R041",
        (PEPPOL,),
        buyer={"endpoint": "974760674", "endpoint_scheme": "0192"},
    ),
    Case(
        "BT-49",
        "PEPPOL-COMMON-R043",
        (PEPPOL,),
        buyer={"endpoint": "0202239952", "endpoint_scheme": "0208"},
    ),
    # Taxes
    Case("BT-118", "BR-47", document=exempt("")),
    Case("BT-118", "BR-S-05", document=exempt("S")),
    Case("BT-118", "BR-Z-05", document={"tax_category": "Z"}),
    Case("BT-118", "BR-E-05", document={"tax_category": "E", "tax_exemption_reason": "Reason"}),
    Case("BT-118", "BR-AE-05", document={"tax_category": "AE"}),
    Case("BT-118", "BR-IC-05", document={"tax_category": "K"}),
    Case("BT-118", "BR-G-05", document={"tax_category": "G"}),
    Case("BT-120", "BR-E-10", document=exempt("E")),
    Case("BT-121", "BR-CL-22", document=exempt("E", tax_exemption_code="VATEX-EU-NONE")),
    Case(
        "BT-121",
        "PEPPOL-EN16931-P0104",
        (PEPPOL,),
        document=exempt("E", tax_exemption_code="VATEX-EU-G"),
    ),
    Case("BT-31", "BR-Z-02", document=exempt("Z"), seller=NO_VAT),
    Case("BT-31", "BR-AE-02", document=exempt("AE"), seller=NO_VAT),
    Case("BT-31", "BR-G-02", document=exempt("G"), seller={**NO_VAT, "tax_number": "1/2/3"}),
    Case("BT-31", "BR-IC-02", document=exempt("K"), seller={**NO_VAT, "tax_number": "1/2/3"}),
    Case("BT-48", "BR-IC-02", document=exempt("K"), buyer=NO_VAT),
    Case("BT-48", "BR-AE-02", document=exempt("AE"), buyer={**NO_VAT, "registration_code": ""}),
    Case("BT-30", "BR-CO-26", document=exempt("O"), seller={"registration_code": ""}),
    Case("BT-5", "BR-DEC-14", document={"currency": "KWD", "net": Decimal("10.125")}),
    Case("BT-5", "BR-CL-04", (UBL_EN16931, PEPPOL, *XRECHNUNG), document={"currency": "STN"}),
    Case("BT-119", "BR-CO-17", document={"tax_percent": Decimal("0.4"), "net": Decimal(200)}),
    # Countries of Peppol
    *(
        Case(term, rule, (PEPPOL,), germans=True, **values)
        for term, rule, values in (
            ("BT-37", "DE-R-003", {"seller": {"city": ""}}),
            ("BT-38", "DE-R-004", {"seller": {"postal": ""}}),
            ("BT-41", "DE-R-005", {"seller": {"contact_name": ""}}),
            ("BT-42", "DE-R-006", {"seller": {"phone_number": ""}}),
            ("BT-43", "DE-R-007", {"seller": {"email": ""}}),
            ("BT-52", "DE-R-008", {"buyer": {"city": ""}}),
            ("BT-53", "DE-R-009", {"buyer": {"postal": ""}}),
            ("BT-10", "DE-R-015", {"document": {"buyer_reference": ""}}),
            ("BT-81", "DE-R-001", {"seller": NO_ACCOUNT, "document": {"payment_url": ""}}),
            (
                "BT-41",
                "DE-R-002",
                {"seller": {"contact_name": "", "phone_number": "", "email": ""}},
            ),
        )
    ),
    Case("BT-40", "GR-R-001-1", (PEPPOL,), seller=from_country("GR", vat_code="EL094259216")),
    Case("BT-30", "DK-R-014", (PEPPOL,), seller=from_country("DK", vat_code="DK12345678")),
    Case(
        "BT-30",
        "DK-R-002",
        (PEPPOL,),
        seller=from_country("DK", vat_code="DK12345678", registration_code=""),
    ),
    Case(
        "BT-81",
        "DK-R-005",
        (PEPPOL,),
        seller=from_country("DK", vat_code="DK12345678", registration_scheme="0184")
        | {"bank_account": "12345"},
        buyer={"country": "DK", "vat_code": "DK12345678"},
    ),
    Case("BT-35", "IT-R-002", (PEPPOL,), seller=from_country("IT", address="")),
    Case("BT-37", "IT-R-003", (PEPPOL,), seller=from_country("IT", city="")),
    Case("BT-38", "IT-R-004", (PEPPOL,), seller=from_country("IT", postal="")),
    Case(
        "BT-32",
        "IT-R-001",
        (PEPPOL,),
        seller=from_country("IT", vat_code="", tax_number="123"),
    ),
    Case("BT-30", "IS-R-002", (PEPPOL,), seller=from_country("IS")),
    Case("BT-35", "IS-R-003", (PEPPOL,), seller={**ICELANDIC, "address": ""}),
    Case("BT-38", "IS-R-003", (PEPPOL,), seller={**ICELANDIC, "postal": ""}),
    Case("BT-47", "IS-R-004", (PEPPOL,), seller=ICELANDIC, buyer={"country": "IS"}),
    Case(
        "BT-53",
        "IS-R-005",
        (PEPPOL,),
        seller=ICELANDIC,
        buyer={"country": "IS", "registration_scheme": "0196", "postal": ""},
    ),
    Case("BT-35", "NL-R-002", (PEPPOL,), seller={**DUTCH, "address": ""}),
    Case("BT-37", "NL-R-002", (PEPPOL,), seller={**DUTCH, "city": ""}),
    Case("BT-30", "NL-R-003", (PEPPOL,), seller=from_country("NL")),
    Case(
        "BT-81",
        "NL-R-007",
        (PEPPOL,),
        seller={**DUTCH, **NO_ACCOUNT},
        document={"payment_url": ""},
    ),
    *(
        Case(term, rule, (PEPPOL,), seller={**DUTCH, **account}, buyer={"country": "NL", **buyer})
        for term, rule, account, buyer in (
            ("BT-50", "NL-R-004", {}, {**REGISTERED_BUYER, "address": ""}),
            ("BT-52", "NL-R-004", {}, {**REGISTERED_BUYER, "city": ""}),
            ("BT-47", "NL-R-005", {}, {}),
            ("BT-84", "NL-R-008", NO_ACCOUNT, REGISTERED_BUYER),
        )
    ),
    Case("BT-31", "NO-R-001", (PEPPOL,), seller=from_country("NO")),
    Case(
        "BT-30",
        "SE-R-013",
        (PEPPOL,),
        seller={**SWEDISH, "registration_code": "5560360794"},
        document={"tax_percent": Decimal(25)},
    ),
    Case(
        "BT-31",
        "SE-R-001",
        (PEPPOL,),
        seller={**SWEDISH, "vat_code": "SE123"},
        document={"tax_percent": Decimal(25)},
    ),
    Case(
        "BT-32",
        "SE-R-005",
        (PEPPOL,),
        seller={**SWEDISH, "vat_code": "", "tax_number": "5560360793"},
    ),
    Case("BT-119", "SE-R-006", (PEPPOL,), seller=SWEDISH),
]


@pytest.mark.parametrize(
    ("case", "profile"),
    [
        pytest.param(case, profile, id=f"{case.term}-{case.rule}-{profile.syntax}-{profile.name}")
        for case in CASES
        for profile in case.profiles
    ],
)
def test_what_the_rules_refuse_is_named(case: Case, profile: Profile) -> None:
    document, lines = case.make(), [make_line(price=case.document.get("net", Decimal(10)))]
    problems = find_problems(document, [lines], profile)
    assert (case.term, case.rule) in {(problem.term, problem.rule) for problem in problems}
    refused = judge(write_xml(document, lines, profile), profile).fatal
    if profile is FACTUR_X and case.rule.startswith("BR-CL-"):
        # Factur-X has rules of its own for code lists, with numbers alone.
        assert any(rule.startswith("FX-SCH-A-") for rule in refused)
    else:
        assert case.rule in refused


@pytest.mark.parametrize(
    "profile", PROFILES, ids=lambda profile: f"{profile.syntax}-{profile.name}"
)
def test_all_problems_are_found_at_once(profile: Profile) -> None:
    document = make_document(tax_percent=Decimal(0), seller=Party(), buyer=Party())
    terms = {problem.term for problem in find_problems(document, [], profile)}
    assert {"BT-27", "BT-30", "BT-40", "BT-44", "BT-55", "BT-118"} <= terms
    assert ({"BT-34", "BT-49"} <= terms) == (profile in NETWORKS)
    assert ({"BT-37", "BT-38", "BT-41", "BT-42", "BT-43"} <= terms) == (profile in XRECHNUNG)


def test_a_problem_names_the_place_of_the_value() -> None:
    customer = UUID(int=7)
    document = make_document(
        seller=replace(SELLER, city=""), buyer_reference="", order_reference=""
    )
    problems = find_problems(document, [], UBL_XRECHNUNG, customer)
    then = f"then `python -m app document complete {document.number}`"
    assert [problem.as_json() for problem in problems] == [
        {
            "term": "BT-37",
            "rule": "BR-DE-3",
            "of": "issuer",
            "field": "city",
            "where": f"ISSUER_DETAILS, key city, {then}",
            "message": "The city of the seller is missing.",
        },
        {
            "term": "BT-10",
            "rule": "BR-DE-15",
            "of": "customer",
            "field": "buyer_reference",
            "where": f"customer {customer}, field buyer_reference,"
            f" by an import of customers, {then}",
            "message": "The reference of the buyer is missing.",
        },
    ]


def test_sums_that_do_not_fit_the_lines_are_a_problem() -> None:
    lines = [make_line(1), make_line(2)]
    document = replace(make_document(lines), net=Decimal(21))
    problems = find_problems(document, [lines[:1], lines[1:]], UBL_EN16931)
    assert [(problem.term, problem.rule) for problem in problems] == [
        ("BT-112", "BR-CO-17"),
        ("BT-106", "BR-CO-10"),
    ]


def test_a_total_that_is_a_cent_off_is_a_problem_though_the_rules_accept_it() -> None:
    lines = [make_line()]
    document = replace(make_document(lines), gross=Decimal("12.41"))
    (problem,) = find_problems(document, [lines], UBL_EN16931)
    assert (problem.term, problem.of) == ("BT-112", Subject.INVOICE)
    assert not judge(write_xml(document, lines, UBL_EN16931), UBL_EN16931).fatal


def test_a_credit_note_may_take_the_rest_of_the_rounding() -> None:
    lines = [make_line()]
    invoice = PrecedingInvoice(number=100001, issue_date=date(2026, 11, 1))
    note = make_document(lines, kind=DocumentKind.CREDIT_NOTE, preceding=invoice, due_date=None)
    note = replace(note, gross=note.gross + Decimal("0.99"))
    assert not find_problems(note, [lines], UBL_EN16931)
    assert not judge(write_xml(note, lines, UBL_EN16931), UBL_EN16931).fatal
    assert find_problems(replace(note, gross=note.gross + 1), [lines], UBL_EN16931)


def test_a_line_whose_amount_is_not_quantity_times_price_is_a_problem() -> None:
    lines = [make_line(1), make_line(2, price=Decimal("10.02"))]
    (problem,) = find_problems(make_document(lines), [lines], UBL_EN16931)
    assert problem == Problem(
        term="BT-131",
        rule="PEPPOL-EN16931-R120",
        of=Subject.ITEM,
        field="price",
        where=f"item {UUID(int=2)}, field price",
        message="The amount of the line is not its quantity times its price.",
        item=UUID(int=2),
    )


def test_peppol_refuses_amounts_that_were_rounded_to_whole_units_of_a_currency() -> None:
    line = make_line(unit_price=Decimal("0.05"), quantity=Decimal(744), currency="ISK")
    document = make_document([line], currency="ISK")
    assert not find_problems(document, [[line]], UBL_XRECHNUNG)
    (problem,) = find_problems(document, [[line]], PEPPOL)
    assert (problem.term, problem.rule) == ("BT-131", "PEPPOL-EN16931-R120")
    assert judge(write_xml(document, [line], PEPPOL), PEPPOL).fatal == {"PEPPOL-EN16931-R120"}


def test_a_line_outside_the_period_is_a_problem() -> None:
    late = make_line(end=make_line().end.replace(month=12))
    document = make_document([late])
    (problem,) = find_problems(document, [[late]], UBL_XRECHNUNG)
    assert (problem.term, problem.rule) == ("BT-135", "PEPPOL-EN16931-R111")
    refused = judge(write_xml(document, [late], UBL_XRECHNUNG), UBL_XRECHNUNG).fatal
    assert refused == {"PEPPOL-EN16931-R111"}


def test_the_problems_of_lines_are_limited() -> None:
    lines = [make_line(number, price=Decimal(11)) for number in range(1, 200)]
    assert len(find_problems(make_document(lines), [lines], UBL_EN16931)) == 100
