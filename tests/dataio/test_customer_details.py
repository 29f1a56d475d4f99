"""The details of customers for documents: a wrong form makes the line bad, with a clear reason."""

import json
from uuid import uuid4

import pytest

from app.dataio.import_report import RejectedRecord
from app.dataio.jsonl.reader import parse_line
from app.dataio.records.customers import CustomerRecord
from app.dataio.records.record import Record
from app.dataio.registry import RECORD_KIND_BY_MODEL

GOOD = {
    "registration_code": "12345678",
    "registration_scheme": "0191",
    "endpoint": "EE123456789",
    "endpoint_scheme": "9931",
    "contact_name": "Kadri Õunapuu",
    "buyer_reference": "04011000-12345-34",
    "order_reference": "PO 7",
    "city": "Tartu",
    "language": "et",
    "tax_category": "AE",
    "tax_exemption_code": "VATEX-EU-AE",
    "tax_exemption_reason": "Reverse charge",
}


def read_customer(**values: object) -> Record | RejectedRecord:
    time = "2026-01-01T00:00:00Z"
    fields = {"kind": "customer", "uuid": str(uuid4()), "name": "Buyer", "created_at": time}
    line = json.dumps(fields | {"accounting_start_date": time} | values)
    return parse_line(line.encode(), 1)


def test_the_details_are_read() -> None:
    record = read_customer(**GOOD)
    assert isinstance(record, CustomerRecord)
    assert record.model_dump(include=set(GOOD)) == GOOD


def test_details_that_are_left_out_are_empty() -> None:
    record = read_customer()
    assert isinstance(record, CustomerRecord)
    assert set(record.model_dump(include=set(GOOD)).values()) == {""}


def test_every_detail_has_a_column() -> None:
    columns = {column.name for column in RECORD_KIND_BY_MODEL[CustomerRecord].columns}
    assert set(GOOD) <= columns


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"registration_scheme": "191"}, "registration_scheme: must be the four digits of a"),
        ({"registration_scheme": "9999"}, "registration_scheme: must be the four digits of a"),
        ({"endpoint_scheme": "9999", "endpoint": "1"}, "endpoint_scheme: must be a scheme of the"),
        ({"endpoint_scheme": "em", "endpoint": "a@b.example"}, "endpoint_scheme: must be a"),
        ({"endpoint": "EE1"}, "endpoint and endpoint_scheme must both be set or both be empty"),
        ({"endpoint_scheme": "9931"}, "endpoint and endpoint_scheme must both be set or both be"),
        ({"endpoint_scheme": "0088", "endpoint": "7300010000002"}, "the check digits or the form"),
        ({"endpoint_scheme": "0192", "endpoint": "991825828"}, "the check digits or the form"),
        ({"endpoint_scheme": "0208", "endpoint": "0208158641"}, "the check digits or the form"),
        ({"language": "Estonian"}, "language: must be the tag of a known language, such as de"),
        ({"language": "tlh"}, "language: must be the tag of a known language, such as de"),
        ({"language": "pt_BR"}, "language: must be the tag of a known language, such as de"),
        ({"tax_category": "X"}, "tax_category: must be empty or one of S, Z, E, AE, K, G, O"),
        ({"tax_category": "s"}, "tax_category: must be empty or one of S, Z, E, AE, K, G, O"),
        ({"tax_exemption_code": "EU-AE"}, "tax_exemption_code: must be a code such as VATEX-EU-AE"),
        ({"tax_exemption_code": "VATEX-"}, "tax_exemption_code: must be a code such as VATEX-EU"),
        ({"city": "x" * 101}, "city: String should have at most 100 characters"),
        ({"city": None}, "city: Input should be a valid string"),
    ],
)
def test_a_wrong_form_is_rejected_with_the_field(values: dict[str, object], reason: str) -> None:
    rejected = read_customer(**values)
    assert isinstance(rejected, RejectedRecord)
    assert rejected.reason.startswith(reason)


@pytest.mark.parametrize(
    ("scheme", "endpoint"),
    [
        ("0088", "7300010000001"),
        ("0192", "991825827"),
        ("0208", "0208158634"),
        ("EM", "billing@buyer.example"),
        ("0204", "04011000-12345-34"),
    ],
)
def test_an_endpoint_with_right_check_digits_is_accepted(scheme: str, endpoint: str) -> None:
    assert isinstance(read_customer(endpoint=endpoint, endpoint_scheme=scheme), CustomerRecord)


@pytest.mark.parametrize("tag", ["de", "pt-BR", "zh-Hant-TW", "DE-at", "es-419", "de-US"])
def test_a_language_tag_is_accepted(tag: str) -> None:
    assert isinstance(read_customer(language=tag), CustomerRecord)
