"""The records take what the tables take, and nothing that would be changed or refused later."""

import json
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

from app.dataio.json_objects import dump_object, has_fractions, load_with_decimals
from app.dataio.records.catalogue import CategoryRecord, PlanComponentRecord, ServiceProviderRecord
from app.dataio.records.record import Record
from app.dataio.registry import record_adapter

ID = "7758b987-0000-4000-8000-000000000000"


def read(**fields: object) -> Record:
    return record_adapter.validate_json(json.dumps({"uuid": ID, **fields}))


def price(value: object) -> Record:
    return read(kind="plan_component", plan=ID, price=value)


def created(value: object) -> Record:
    return read(kind="service_provider", customer=ID, created_at=value)


def subnet(value: object) -> Record:
    return read(kind="access_subnet", customer=ID, network=value)


def attributes(value: object) -> Record:
    return read(kind="payment_profile", customer=ID, payment_type="invoices", attributes=value)


@pytest.mark.parametrize("text", ["0", "-0.0000000001", "999999999999.9999999999", "007.50"])
def test_amounts_are_parsed_exactly(text: str) -> None:
    record = price(text)
    assert isinstance(record, PlanComponentRecord)
    assert record.price == Decimal(text)


@pytest.mark.parametrize(
    "value",
    [
        1,
        1.5,
        True,
        None,
        "",
        " 1 ",
        "1_0",
        "1e3",
        "NaN",
        "Infinity",
        "\u0661",
        "+1",
        ".5",
        "1.",
        "1.00000000001",
        "1000000000000",
        ["1"],
    ],
)
def test_an_invalid_amount_is_rejected(value: object) -> None:
    with pytest.raises(ValidationError):
        price(value)


def test_times_are_converted_to_utc() -> None:
    record = created("2026-01-01T00:00:00.000001+02:00")
    assert isinstance(record, ServiceProviderRecord)
    assert record.created_at.isoformat() == "2025-12-31T22:00:00.000001+00:00"


@pytest.mark.parametrize(
    "value",
    [
        123,
        "123",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-02-30T00:00:00Z",
        None,
        "2026-01-01T00:00:00.1234567Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-10:00",
    ],
)
def test_an_invalid_time_is_rejected(value: object) -> None:
    with pytest.raises(ValidationError):
        created(value)


@pytest.mark.parametrize("value", ["10.0.0.0/8", "10.0.0.1", "::/0", "2001:db8::/32", None])
def test_networks_are_parsed(value: str | None) -> None:
    subnet(value)


@pytest.mark.parametrize("value", ["10.0.0.1/8", "fe80::%eth0/64", "everywhere", "", 5])
def test_an_invalid_network_is_rejected(value: object) -> None:
    with pytest.raises(ValidationError):
        subnet(value)


@pytest.mark.parametrize(
    "value",
    [[], "{}", {"a": float("nan")}, {"a": float("inf")}, {"a": "\0"}, {"a\0": 1}, {"a": ["\0"]}],
)
def test_objects_that_cannot_be_stored_are_rejected(value: object) -> None:
    with pytest.raises(ValidationError):
        attributes(value)


def test_an_escaped_backslash_before_u0000_is_not_a_nul() -> None:
    attributes({"a": "\\u0000"})


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
def test_text_that_cannot_be_stored_is_rejected(text: str) -> None:
    with pytest.raises(ValidationError):
        read(kind="category", title=text)
    with pytest.raises(ValidationError):
        CategoryRecord(uuid=uuid4(), title=text)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "category", "title": "x", "more": 1},
        {"kind": "category", "title": 5},
        {"kind": "category"},
        {"kind": "outbox"},
        {"kind": 5},
        {"title": "x"},
        {"kind": "category", "title": "x", "uuid": "x"},
    ],
)
def test_lines_that_are_not_records_are_rejected(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        read(**fields)


def test_records_follow_the_constraints_of_the_tables() -> None:
    invoice = {"kind": "invoice", "customer": ID, "year": 2026, "month": 1, "created": "2026-01-01"}
    read(**invoice)
    for wrong in (
        {"invoice_date": "2026-02-01"},
        {"month": 13},
        {"month": 1.0},
        {"year": 0},
        {"number": 0},
        {"tax_percent": "-1"},
        {"tax_percent": "1000"},
        {"state": "lost"},
        {"created": "2026-01-01T00:00:00"},
        {"created": "2026-02-30"},
        {"backend_id": "x" * 256},
    ):
        with pytest.raises(ValidationError):
            read(**{**invoice, **wrong})


def test_records_are_immutable() -> None:
    record = CategoryRecord(uuid=UUID(ID), title="Compute")
    with pytest.raises(ValidationError):
        record.title = "Storage"  # type: ignore[misc]  # what is tested


def test_objects_lose_no_digit() -> None:
    line = b'{"a":1.10,"b":[12345678901234567890.123456789,{"c":1E-7}],"d":"\\ue000decimal\\ue000"}'
    assert has_fractions(line)
    text = dump_object(load_with_decimals(line))
    assert json.loads(text, parse_float=str) == {
        "a": "1.10",
        "b": ["12345678901234567890.123456789", {"c": "1E-7"}],
        "d": "\ue000decimal\ue000",
    }
    for line in (b'{"a" :\t-1.5}', b'{"a":[1, 2e3]}', b"[[0.5]]", b'{"a":1E7}'):
        assert has_fractions(line)
    assert not has_fractions(b'{"price":"1.10","count":12,"end":"2026-01-31T23:59:59.999999Z"}')


def test_a_text_equal_to_the_placeholder_of_a_number_stays_a_text() -> None:
    mark = "\ue000decimal\ue000"
    value = {mark: [Decimal("1.50"), mark, f'"{mark}"', {"a": Decimal("2E+3")}], "b": mark}
    read = json.loads(dump_object(value), parse_float=Decimal)
    assert read == value
    assert str(read[mark][0]) == "1.50"
    assert dump_object({"a": mark}) == f'{{"a": "{mark}"}}'


def test_a_decimal_that_is_not_finite_is_rejected() -> None:
    for value in (Decimal("NaN"), Decimal("1e400")):
        with pytest.raises(ValueError, match="finite"):
            dump_object({"a": value})
