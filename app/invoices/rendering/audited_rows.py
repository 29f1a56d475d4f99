"""Rows of the audit log under the names and in the formats of the API.

The log has each row as JSON text. Numbers are read as Decimals, so that amounts keep their digits.
Dates and times stay texts.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

from pydantic import PlainSerializer, TypeAdapter
from typing_extensions import TypedDict

from app.api.response_format import ResponseFormat
from app.api.serializers import (
    AmountString,
    DecimalString2,
    DecimalString10,
    JsonNumber,
    WireUuid,
    link,
)
from app.audit.models import ChangeKind
from app.billing import money
from app.invoices.rendering.rendered import shown_state

_INFINITE: Final = {
    "-infinity": ("0001-01-01", "0001-01-01T00:00:00"),
    "infinity": ("9999-12-31", "9999-12-31T23:59:59.999999"),
}
"""The values behind the infinite dates and times that an older release recorded."""


def _date(text: str) -> str:
    return _INFINITE[text][0] if text in _INFINITE else text


def _time(text: str) -> str:
    finite = _INFINITE[text][1] if text in _INFINITE else text
    return f"{finite.removesuffix('+00:00')}Z"


_Date = Annotated[str, PlainSerializer(_date, return_type=str)]
_Time = Annotated[str, PlainSerializer(_time, return_type=str)]
"""The log has times in UTC."""


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
    """An item of an invoice; the records that it refers to are UUIDs."""

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
    """A payment, with the metadata of its proof."""

    uuid: WireUuid
    profile_uuid: WireUuid
    date_of_payment: _Date
    sum: AmountString
    created_at: _Time
    proof_name: str | None
    proof_media_type: str | None
    proof_size: int | None
    proof_sha256: str | None


class _Format(NamedTuple):
    adapter: TypeAdapter[Any]
    names: Mapping[str, str]
    """The API's names, by those of the log; other columns are not shown."""


def _format(schema: type[Any], **renamed: str) -> _Format:
    same = {name: name for name in schema.__annotations__ if name not in renamed.values()}
    return _Format(TypeAdapter(schema), same | renamed)


_FORMATS: Final = {
    ChangeKind.INVOICE: _format(RecordedInvoice, total_price="price"),
    ChangeKind.ITEM: _format(
        RecordedItem,
        resource="resource_uuid",
        offering="offering_uuid",
        plan_component="plan_component_uuid",
        customer_credit="customer_credit_uuid",
    ),
    ChangeKind.PAYMENT: _format(RecordedPayment, profile="profile_uuid"),
}


def audited_row(kind: ChangeKind, text: str, response_format: ResponseFormat) -> dict[str, Any]:
    """Return a row, or the columns of it that the text has, ready for JSON."""
    adapter, names = _FORMATS[kind]
    recorded = json.loads(text, parse_float=Decimal)
    row: dict[str, Any] = adapter.validate_python(
        {names[name]: value for name, value in recorded.items() if name in names}
    )
    if "state" in row:
        row["state"] = shown_state(row["state"], has_grace_period=response_format.has_grace_period)
    if "sum" in row:
        row["sum"] = money.round_half_even(row["sum"], response_format.currency)
    if "details" in row:
        # Numbers in details are floats, as in the items of an invoice.
        row["details"] = json.loads(text)["details"]
    result: dict[str, Any] = adapter.dump_python(row, mode="json", context=response_format.links)
    return result


def audited_invoice(text: str, response_format: ResponseFormat) -> dict[str, Any]:
    """Return a whole invoice with its derived fields, ready for JSON."""
    recorded = json.loads(text, parse_float=Decimal)
    price, percent = Decimal(recorded["total_price"]), Decimal(recorded["tax_percent"])
    derived = {
        "url": UUID(recorded["uuid"]),
        "tax": money.tax_on(price, percent),
        "total": money.with_tax(price, percent),
    }
    adapter = _FORMATS[ChangeKind.INVOICE].adapter
    fields = adapter.dump_python(derived, mode="json", context=response_format.links)
    fields |= audited_row(ChangeKind.INVOICE, text, response_format)
    return {name: fields[name] for name in RecordedInvoice.__annotations__}
