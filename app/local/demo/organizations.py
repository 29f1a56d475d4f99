"""The fictitious organizations: sellers, buyers, and some that are both.

Their accounts have valid check digits, but the number of a bank that no country has.
"""

from dataclasses import dataclass
from typing import Final

from app.billing.enums import PaymentType


@dataclass(frozen=True, kw_only=True)
class Organization:
    """A customer; its accounting started `starts` months ago, or starts later if negative."""

    key: str
    name: str
    street: str
    city: str
    postal: str
    country: str
    vat_code: str
    registration: tuple[str, str]
    """The registration code and its scheme."""
    endpoint: tuple[str, str]
    """The electronic address and its scheme."""
    contact: str
    bank_account: str
    language: str = ""
    buyer_reference: str = ""
    order_reference: str = ""
    tax_percent: str
    tax_category: str = "S"
    exemption: tuple[str, str] = ("", "")
    """The code and the reason of the exemption from tax."""
    starts: int = 18
    archived: bool = False
    profile: PaymentType = PaymentType.INVOICES
    pays_late: bool = False
    """Whether all its issued invoices are unpaid, not only the last one."""
    projects: tuple[tuple[str, str], ...] = ()


ORGANIZATIONS: Final = (
    # Sellers; some of them buy as well.
    Organization(
        key="virmalis",
        name="Virmalispilv OÜ",
        street="Tuulekoja põik 7",
        city="Tartu",
        postal="50999",
        country="EE",
        vat_code="EE00001001",
        registration=("00001001", "0191"),
        endpoint=("00001001", "0191"),
        contact="Villem Jõeäär",
        bank_account="EE63 0000 0000 0000 1001",
        language="et",
        buyer_reference="VP-1001",
        tax_percent="24",
    ),
    Organization(
        key="fjordlys",
        name="Fjordlys Beregning ApS",
        street="Måneskinsvej 12",
        city="Aarhus",
        postal="8099",
        country="DK",
        vat_code="DK00001002",
        registration=("00001002", "0184"),
        endpoint=("DK00001002", "0184"),
        contact="Mette Søholm",
        bank_account="DK27 0000 0000 0010 02",
        language="en",
        buyer_reference="FB-1002",
        tax_percent="25",
    ),
    Organization(
        key="brume",
        name="Ateliers de la Brume SARL",
        street="3 quai des Hérons",
        city="Nantes",
        postal="44999",
        country="FR",
        vat_code="FR00001003",
        registration=("000001003", "0002"),
        endpoint=("FR00001003", "9957"),
        contact="Amélie Brumaire",
        bank_account="FR58 0000 0000 0000 0000 0001 003",
        language="fr",
        buyer_reference="AB-1003",
        tax_percent="20",
        projects=(("brume-lab", "Laboratoire d'été"),),
    ),
    Organization(
        key="zuraw",
        name="Biały Żuraw Programy Sp. z o.o.",
        street="ul. Łąkowa 5",
        city="Łódź",
        postal="90-999",
        country="PL",
        vat_code="PL00001004",
        registration=("0000001004", ""),
        endpoint=("PL00001004", "9945"),
        contact="Zbigniew Łąka",
        bank_account="PL56 0000 0000 0000 0000 0000 1004",
        language="en",
        buyer_reference="BZ-1004",
        tax_percent="23",
    ),
    # Buyers.
    Organization(
        key="tammelinna",
        name="Tammelinna Ülikool",
        street="Kõrgemäe tänav 1",
        city="Tammelinna",
        postal="51999",
        country="EE",
        vat_code="EE00001005",
        registration=("00001005", "0191"),
        endpoint=("EE00001005", "9931"),
        contact="Kadri Õunapuu",
        bank_account="EE52 0000 0000 0000 1005",
        language="et",
        order_reference="TÜ 2026-1005",
        tax_percent="24",
        projects=(
            ("course", "Andmeteaduse kursus"),
            ("genome", "Õunapuu genoom"),
            ("library", "Raamatukogu digiarhiiv"),
        ),
    ),
    Organization(
        key="gletscher",
        name="Institut für Gletscherforschung Hochalm",
        street="Am Gletschertor 4",
        city="Hochalm",
        postal="9899",
        country="AT",
        vat_code="ATU00001006",
        registration=("FN 1006 x", ""),
        endpoint=("ATU00001006", "9914"),
        contact="Lukas Föhnwind",
        bank_account="AT16 0000 0000 0000 1006",
        language="de",
        buyer_reference="IGH-1006",
        tax_percent="0",
        tax_category="AE",
        exemption=("VATEX-EU-AE", "Reverse charge"),
        projects=(("ice", "Eiskernmodell"), ("weather", "Wetterstationen")),
    ),
    Organization(
        key="groesswald",
        name="Größwald Maschinenbau GmbH",
        street="Schmiedegäßchen 21",
        city="Größwald",
        postal="99999",
        country="DE",
        vat_code="DE000001007",
        registration=("HRB 1007", ""),
        endpoint=("DE000001007", "9930"),
        contact="Hanna Größl",
        bank_account="DE07 0000 0000 0000 0010 07",
        language="de",
        buyer_reference="GW-1007",
        order_reference="4500001007",
        tax_percent="19",
        profile=PaymentType.FIXED_PRICE,
        projects=(("plant", "Werk Süd"),),
    ),
    Organization(
        key="sjavar",
        name="Sjávargögn Hólmavogur ehf.",
        street="Þangbraut 9",
        city="Hólmavogur",
        postal="599",
        country="IS",
        vat_code="IS00001008",
        registration=("0000001008", "0196"),
        endpoint=("0000001008", "0196"),
        contact="Kadri Õunapuu",
        bank_account="IS87 0000 0000 0000 0000 0010 08",
        language="en",
        buyer_reference="SH-1008",
        tax_percent="24",
        starts=9,
        projects=(("fleet", "Flotastjórnun"),),
    ),
    Organization(
        key="hollow",
        name="Ben Hollow Analytics Ltd",
        street="14 Larkspur Wynd",
        city="Glenmorrow",
        postal="ZZ9 9ZZ",
        country="GB",
        vat_code="GB000001009",
        registration=("SC001009", ""),
        endpoint=("GB000001009", "9932"),
        contact="Fiona MacHollow",
        bank_account="GB60 DEMO 0000 0000 0010 09",
        language="en",
        order_reference="BHA/1009",
        tax_percent="0",
        tax_category="G",
        exemption=("VATEX-EU-G", "Export outside the EU"),
        profile=PaymentType.GATEWAY_MONTHLY,
        projects=(("dash", "Dashboards"),),
    ),
    Organization(
        key="anemos",
        name="Λευκός Άνεμος Α.Ε.",  # noqa: RUF001 - Greek letters
        street="Οδός Αλκυόνων 8",
        city="Αθήνα",
        postal="109 99",
        country="GR",
        vat_code="EL000001010",
        registration=("000001010000", ""),
        endpoint=("EL000001010", "9933"),
        contact="Ελένη Ανέμου",
        bank_account="GR54 0000 0000 0000 0000 0001 010",
        buyer_reference="LA-1010",
        tax_percent="24",
        starts=5,
        pays_late=True,
        projects=(("turbines", "Ανεμογεννήτριες"),),
    ),
    Organization(
        key="farol",
        name="Pequeno Farol Turismo Lda.",
        street="Rua das Gaivotas 30",
        city="Póvoa",
        postal="4999-999",
        country="PT",
        vat_code="PT000001011",
        registration=("000001011", ""),
        endpoint=("PT000001011", "9946"),
        contact="Inês Maré",
        bank_account="PT37 0000 0000 0000 0000 0101 1",
        buyer_reference="PF-1011",
        tax_percent="23",
        archived=True,
        projects=(("booking", "Reservas"),),
    ),
    Organization(
        key="kumo",
        name="雲の家 合同会社",
        street="青葉町 1-2-3",
        city="仙台市",
        postal="999-9999",
        country="JP",
        vat_code="JP0000000001012",
        registration=("0000000001012", "0188"),
        endpoint=("T0000000001012", "0221"),
        contact="空 美雲",
        bank_account="0000 000 0001012",
        buyer_reference="K-1012",
        tax_percent="10",
        starts=-1,
    ),
)
