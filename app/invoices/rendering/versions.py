"""What was recorded of an invoice as it is sent: under the API's names, in its formats.

Rows come as the JSON texts of the record. Numbers in them are read as Decimals, so that amounts
keep their digits; dates and times are texts already.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

from pydantic import PlainSerializer, TypeAdapter
from pydantic_core import to_json
from sqlalchemy import Row, RowMapping
from typing_extensions import TypedDict

from app.api.links import Links
from app.api.serializers import (
    AmountString,
    DecimalString2,
    DecimalString10,
    JsonNumber,
    UtcTimestamp,
    WireUuid,
    link,
)
from app.audit.labels import describe
from app.audit.models import ChangeKind
from app.billing import money
from app.billing.currencies import Currency

_INFINITE: Final = {
    "-infinity": ("0001-01-01", "0001-01-01T00:00:00"),
    "infinity": ("9999-12-31", "9999-12-31T23:59:59.999999"),
}
"""What is meant where an older release recorded an infinite date or time."""


def _date(text: str) -> str:
    return _INFINITE[text][0] if text in _INFINITE else text


def _time(text: str) -> str:
    finite = _INFINITE[text][1] if text in _INFINITE else text
    return f"{finite.removesuffix('+00:00')}Z"


_Date = Annotated[str, PlainSerializer(_date, return_type=str)]
_Time = Annotated[str, PlainSerializer(_time, return_type=str)]
"""As the record has it: in UTC."""


class RecordedInvoice(TypedDict, total=False):
    """An invoice without its items."""

    url: Annotated[UUID, link("invoices")]
    uuid: WireUuid
    number: int
    customer: Annotated[UUID, link("customers", platform=True)]
    price: DecimalString10
    tax: DecimalString10
    total: DecimalString10
    state: str
    year: int
    month: int
    created: _Date
    tax_percent: DecimalString2
    invoice_date: _Date | None
    due_date: _Date | None
    backend_id: str
    payment_url: str
    reference_number: str
    cancel_reason: str
    source: str | None
    compensations: JsonNumber
    incurred_costs: JsonNumber


class RecordedItem(TypedDict, total=False):
    """A line of an invoice; what it names is told by UUID."""

    uuid: WireUuid
    name: str
    price: JsonNumber
    unit_price: DecimalString10
    unit: str
    measured_unit: str
    start: _Time
    end: _Time
    article_code: str
    project_name: str
    project_uuid: WireUuid | None
    quantity: DecimalString10
    details: Any
    resource_uuid: WireUuid | None
    offering_uuid: WireUuid | None
    plan_component_uuid: WireUuid | None
    customer_credit_uuid: WireUuid | None
    backend_uuid: UUID | None
    credit: bool


class RecordedPayment(TypedDict, total=False):
    """A payment, with what is known of its proof."""

    uuid: WireUuid
    profile_uuid: WireUuid
    date_of_payment: _Date
    sum: AmountString
    created_at: _Time
    proof_name: str | None
    proof_media_type: str | None
    proof_size: int | None
    proof_sha256: str | None


class _Kind(NamedTuple):
    adapter: TypeAdapter[Any]
    names: Mapping[str, str]
    """The names here, by those of the record; what it does not name is not shown."""
    uuids: frozenset[str]


def _kind(schema: type[Any], uuids: set[str], **renamed: str) -> _Kind:
    same = {name: name for name in schema.__annotations__ if name not in renamed.values()}
    return _Kind(TypeAdapter(schema), same | renamed, frozenset(uuids))


_KINDS: Final = {
    ChangeKind.INVOICE: _kind(RecordedInvoice, {"uuid", "customer"}, total_price="price"),
    ChangeKind.ITEM: _kind(
        RecordedItem,
        {
            "uuid",
            "project_uuid",
            "resource",
            "offering",
            "plan_component",
            "customer_credit",
            "backend_uuid",
        },
        resource="resource_uuid",
        offering="offering_uuid",
        plan_component="plan_component_uuid",
        customer_credit="customer_credit_uuid",
    ),
    ChangeKind.PAYMENT: _kind(RecordedPayment, {"uuid", "profile"}, profile="profile_uuid"),
}


def shown(kind: ChangeKind, text: str, links: Links, currency: Currency) -> dict[str, Any]:
    """Return a recorded row, or the part of it in the text, as it is sent."""
    recorded = json.loads(text, parse_float=Decimal)
    adapter, names, uuids = _KINDS[kind]
    row: dict[str, Any] = {}
    for name, value in recorded.items():
        if name in uuids and value is not None:
            row[names[name]] = UUID(value)
        elif isinstance(value, int) and name in _AMOUNTS:
            row[names[name]] = Decimal(value)
        elif name in names:
            row[names[name]] = value
    if "sum" in row:
        row["sum"] = money.round_half_even(row["sum"], currency)
    if "details" in row:
        # As everywhere else: what is not an amount is a float.
        row["details"] = json.loads(text)["details"]
    sent: dict[str, Any] = adapter.dump_python(row, mode="json", context=links)
    return sent


_AMOUNTS: Final = frozenset(
    {
        "total_price",
        "compensations",
        "incurred_costs",
        "tax_percent",
        "price",
        "unit_price",
        "quantity",
        "sum",
    }
)
"""What is an amount, though the record may write it without a fraction."""


def shown_invoice(text: str, links: Links, currency: Currency) -> dict[str, Any]:
    """Return a whole recorded invoice, with what follows from its fields."""
    recorded = json.loads(text, parse_float=Decimal)
    price, percent = Decimal(recorded["total_price"]), Decimal(recorded["tax_percent"])
    derived = {
        "url": UUID(recorded["uuid"]),
        "tax": money.tax_on(price, percent),
        "total": money.with_tax(price, percent),
    }
    made = _KINDS[ChangeKind.INVOICE].adapter.dump_python(derived, mode="json", context=links)
    all_fields = made | shown(ChangeKind.INVOICE, text, links, currency)
    return {name: all_fields[name] for name in RecordedInvoice.__annotations__}


class Changes:
    """What one entry changed, gathered row by row."""

    def __init__(self, links: Links, currency: Currency) -> None:
        self._links = links
        self._currency = currency
        self._was: dict[str, Any] = {}
        self._became: dict[str, Any] = {}
        self._rows: dict[str, list[dict[str, Any]]] = {ChangeKind.ITEM: [], ChangeKind.PAYMENT: []}
        self._counts = {ChangeKind.ITEM: 0, ChangeKind.PAYMENT: 0}

    def add(self, row: Row[*tuple[Any, ...]]) -> None:
        """Take the next row of `app.audit.queries.list_changes`."""
        kind = ChangeKind(row.kind)
        was = {} if row.was is None else self._shown(kind, row.was)
        became = {} if row.became is None else self._shown(kind, row.became)
        if kind is ChangeKind.INVOICE:
            # What it was before the first change, and became by the last.
            self._was = was | self._was
            self._became = (self._became | became) if became else dict.fromkeys(was)
            return
        self._counts[kind] = row.of_kind
        if was and became:
            changed = [name for name in became if was.get(name) != became[name]]
            was = {name: was.get(name) for name in changed}
            became = {name: became[name] for name in changed}
        uuid = self._links.uuid(row.subject)
        self._rows[kind].append({"uuid": uuid, "was": was or None, "became": became or None})

    def _shown(self, kind: ChangeKind, text: str) -> dict[str, Any]:
        return shown(kind, text, self._links, self._currency)

    def made(self) -> dict[str, Any]:
        """Return all of them; of an invoice, each field that is not what it was."""
        fields = [name for name in RecordedInvoice.__annotations__ if name in self._became]
        pairs = {name: [self._was.get(name), self._became[name]] for name in fields}
        return {
            "invoice": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
            "items": self._rows[ChangeKind.ITEM],
            "items_changed": self._counts[ChangeKind.ITEM],
            "payments": self._rows[ChangeKind.PAYMENT],
            "payments_changed": self._counts[ChangeKind.PAYMENT],
        }


class VersionHistory(TypedDict):
    """A version of an invoice, with the changes that led to it."""

    id: int
    revision_date: UtcTimestamp
    revision_user: dict[str, Any] | None
    revision_comment: str
    serialized_data: dict[str, Any]


_head: Final = TypeAdapter(VersionHistory)


def encode_version(entry: RowMapping, changes: Changes, links: Links, currency: Currency) -> bytes:
    """Return an entry as JSON, with the changes as the last of `serialized_data`."""
    data = {} if entry["data"] is None else shown_invoice(entry["data"], links, currency)
    user = None
    if entry["user_uuid"] is not None:
        user = {
            "uuid": links.uuid(entry["user_uuid"]),
            "username": entry["username"],
            "token": entry["token"],
        }
        if entry["impersonator_uuid"] is not None:
            user["impersonator"] = {
                "uuid": links.uuid(entry["impersonator_uuid"]),
                "username": entry["impersonator_username"],
            }
    version = VersionHistory(
        id=entry["id"],
        revision_date=entry["recorded_at"],
        revision_user=user,
        revision_comment=describe(entry["operation"], entry["comment"]),
        serialized_data=data | {"changes": changes.made()},
    )
    return _head.dump_json(version, context=links)


def encode(rows: list[dict[str, Any]]) -> bytes:
    """Return rows that are as they are sent as JSON, without the brackets around them."""
    return to_json(rows)[1:-1]
