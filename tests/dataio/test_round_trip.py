"""Any record that is valid comes back as it was: through JSON, the database and an export."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from hypothesis import HealthCheck, given
from hypothesis import settings as configured
from hypothesis import strategies as st
from pydantic import AwareDatetime
from pydantic.fields import FieldInfo
from sqlalchemy import text

from app.billing.code_lists import TAX_CATEGORIES
from app.billing.currencies import get_currency
from app.billing.enums import DeliveryState, InvoiceState
from app.billing.money import EXACT, is_near_product, item_price
from app.billing.periods import due_date
from app.database.base import Base
from app.database.engine import Database
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.reader import parse_line
from app.dataio.loader import import_transaction
from app.dataio.records.invoices import MAX_INVOICE_NUMBER
from app.dataio.records.record import Record
from app.dataio.registry import RECORD_KINDS, record_adapter
from app.settings import Settings
from tests.support.history import without_history

EUR = get_currency("EUR")
WORDS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
OBJECTS = st.dictionaries(
    st.text(WORDS, max_size=10),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(WORDS, max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(WORDS, max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=4,
)
NETWORKS = st.ip_addresses().flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda length: ip_network((address, length), strict=False)
    )
)


def uuid_of(kind: str) -> UUID:
    number = [each.name for each in RECORD_KINDS].index(kind) + 1
    return UUID(int=number, version=4)


AFFILIATE = UUID(int=1000, version=4)
"""A second customer, since no customer is its own affiliate."""
KNOWN: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    AwareDatetime: st.datetimes(timezones=st.just(UTC)),
    date: st.dates(),
    UUID: st.uuids(),
    dict: OBJECTS,
    NoneType: st.none(),
    IPv4Network: NETWORKS,
    IPv6Network: NETWORKS,
}


def limit(metadata: Sequence[Any], name: str, default: int) -> int:
    found = [getattr(each, name, None) for each in metadata]
    return next((int(each) for each in found if each is not None), default)


def of_type(kind: Any, metadata: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    """Values of an annotation, within the limits beside it."""
    if get_origin(kind) is Annotated:
        inner, *beside = get_args(kind)
        return of_type(inner, [*unpacked(beside), *metadata])
    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*(of_type(each, metadata) for each in get_args(kind)))
    if kind in (str, int):
        longest = min(limit(metadata, "max_length", 30), 30)
        highest = limit(metadata, "le", 2**31 - 1)
        numbers = st.integers(limit(metadata, "ge", -9), highest)
        return numbers if kind is int else st.text(WORDS, max_size=longest)
    if kind is Decimal:
        places = limit(metadata, "decimal_places", 0)
        most = 10 ** limit(metadata, "max_digits", 0) - 1
        most = min(most, limit(metadata, "le", most) * 10**places)
        digits = st.integers(limit(metadata, "ge", -most), most)
        return digits.map(lambda number: EXACT.scaleb(Decimal(number), -places))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return st.sampled_from([*kind])
    return KNOWN[get_origin(kind) or kind]


def unpacked(metadata: Sequence[Any]) -> list[Any]:
    """The limits in an annotation, one by one."""
    return [
        each
        for some in metadata
        for each in (some.metadata if isinstance(some, FieldInfo) else [some])
    ]


@st.composite
def graphs(draw: st.DrawFn) -> list[Record]:
    """One record of every kind, each naming the others that it can name, or not."""
    graph = []
    for kind in RECORD_KINDS:
        references = {each.field: each for each in kind.references}
        names = {each.table.name: each.name for each in RECORD_KINDS}
        values: dict[str, Any] = {"uuid": uuid_of(kind.name), **fixed(draw, kind.name)}
        for name, field in kind.model.model_fields.items():
            if name in values or name == "kind":
                continue
            if name in references:
                target = uuid_of(names[references[name].target.name])
                choices = [target] if field.is_required() else [target, None]
                values[name] = draw(st.sampled_from(choices))
            else:
                values[name] = draw(of_type(field.annotation, field.metadata))
        if kind.name == "invoice_item":
            values["price"] = draw(prices(values["unit_price"], values["quantity"]))
        if values.get("customer_credit"):
            values["credit"] = True
        graph.append(kind.model(**values))
        if kind.name == "customer":
            graph.append(graph[-1].model_copy(update={"uuid": AFFILIATE}))
    return graph


def prices(unit_price: Decimal, quantity: Decimal) -> st.SearchStrategy[Decimal]:
    """The prices that an item may have."""
    made = item_price(unit_price, quantity, EUR)
    others = (EXACT.add(made, step * EUR.smallest_unit) for step in (-1, 1))
    near = [each for each in others if is_near_product(each, unit_price, quantity, EUR)]
    return st.sampled_from([made, *near])


def fixed(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """The values that a record's own rules ask for."""
    issued = draw(st.none() | st.dates())
    document = draw(st.sampled_from(["invoice", "credit_note"]))
    values: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "token": {"digest": st.text("0123456789abcdef", min_size=64, max_size=64)},
        "customer_credit": {"offerings": st.sampled_from([(), (uuid_of("offering"),)])},
        "customer": {
            "organization_groups": st.sampled_from([(), (uuid_of("organization_group"),)]),
            "registration_scheme": st.sampled_from(["", "0191"]),
            "endpoint": st.text(WORDS, min_size=1, max_size=30),
            "endpoint_scheme": st.sampled_from(["9931", "EM"]),
            "language": st.sampled_from(["", "et", "pt-BR"]),
            "tax_category": st.sampled_from(["", *TAX_CATEGORIES]),
            "tax_exemption_code": st.sampled_from(["", "VATEX-EU-AE"]),
        },
        "customer_affiliate": {
            "affiliate": st.just(AFFILIATE),
            "start_date": st.dates(max_value=date(5000, 1, 1)),
            "end_date": st.none() | st.dates(min_value=date(5000, 1, 2)),
        },
        "credit_note": {
            "reason": st.text("abc", min_size=1, max_size=30),
            "net": st.decimals(-(10**19), 10**19, places=2),
            # No more than its invoice has, whatever that is.
            "gross": st.just(Decimal("0.00")),
            "digest": st.text("0123456789abcdef", min_size=64, max_size=64),
        },
        "credit_note_lines": {
            "content": st.just({}),
            "digest": st.text("0123456789abcdef", min_size=64, max_size=64),
        },
        "credit_transaction": {
            "project_credit_uuid": st.none(),
            "billing_period": st.dates().map(lambda day: day.replace(day=1)),
        },
        "invoice": {
            "state": st.sampled_from([InvoiceState.CREATED, InvoiceState.PAID]),
            "invoice_date": st.just(issued),
            "due_date": st.just(issued and due_date(issued, 30)),
            "payment_url": st.sampled_from(["", "https://pay.example.com/1?x=\u00e4"]),
            "number": st.integers(1, MAX_INVOICE_NUMBER),
        },
        # The sum of an invoice has 20 digits before the point.
        "invoice_item": {"quantity": st.decimals(-9999, 9999, places=10)},
        "payment": {"proof": st.none(), "sum": st.decimals(-(10**19), 10**19, places=2)},
        "delivery": {
            "state": st.sampled_from([DeliveryState.SENT, DeliveryState.FAILED]),
            **dict.fromkeys(("invoice", "credit_note"), st.none()),
            document: st.just(uuid_of(document)),
        },
    }
    return {name: draw(each) for name, each in values.get(kind, {}).items()}


def exact(value: Any) -> Any:
    """The numbers of JSON as what they are written as."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Decimal(repr(value))
    return value


def plain(record: Record) -> dict[str, Any]:
    return {
        name: exact(value) if isinstance(value, dict) else value
        for name, value in record.model_dump().items()
    }


@given(graphs())
@configured(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_records_are_unchanged_after_json(graph: list[Record]) -> None:
    for record in graph:
        read = parse_line(record.model_dump_json().encode(), 1)
        assert isinstance(read, Record), read
        assert plain(read) == plain(record)
        assert record_adapter.validate_python(record) is record


@given(graph=graphs())
@configured(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_records_are_unchanged_after_the_database(settings: Settings, graph: list[Record]) -> None:
    async def there_and_back() -> list[Record]:
        database = Database(settings)
        try:
            async with database.transaction() as connection:
                # One always has its row; the record is only added to.
                kept = {"currency", "reference_revision", "invoice_changes", "invoice_history"}
                kept |= {"subject_changes", "subject_history", "subject_heads"}
                names = [table.name for table in Base.metadata.sorted_tables]
                tables = ", ".join(name for name in names if name not in kept)
                # The ledger refuses it, too, unless its trigger does not fire.
                await connection.execute(text("SET LOCAL session_replication_role = replica"))
                await connection.execute(text(f"TRUNCATE {tables}"))
            async with import_transaction(database, settings) as loader:
                for record in graph:
                    await loader.add(record)
            exported = b"".join([piece async for piece in export_lines(database, settings)])
            # The import freezes issued invoices.
            lines = [
                line
                for line in without_history(exported).splitlines()
                if not line.startswith(b'{"kind":"invoice_document')
            ]
        finally:
            await database.close()
        return [record_adapter.validate_python(parse_line(line, 1)) for line in lines]

    back = asyncio.run(there_and_back())
    assert [plain(record) for record in back] == [plain(record) for record in graph]
