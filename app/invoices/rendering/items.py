"""Items of invoices, rendered while they are read."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping

from app.api.response_format import ResponseFormat
from app.api.serializers import Links
from app.billing import money
from app.billing.enums import BillingUnit
from app.formats import parse_uuid
from app.invoices.schemas import Row, encode_items

NO_PROJECT: Final = "N/A"
"""The project name of an item without a project."""
_SHARES: Final = {
    BillingUnit.HALF_MONTH: "percents from half a month",
    BillingUnit.MONTH: "percents from a month",
    BillingUnit.QUARTER: "percents from a quarter",
    BillingUnit.QUANTITY: "",
}
_COUNTED: Final = {BillingUnit.HOUR: ("hour", "hours"), BillingUnit.DAY: ("day", "days")}
_UUIDS_IN_DETAILS: Final = (
    "resource_uuid",
    "plan_uuid",
    "offering_uuid",
    "service_provider_uuid",
    "original_invoice_item_uuid",
)


async def json_array(
    parts: AsyncGenerator[bytes, None], prefix: bytes = b"", suffix: bytes = b""
) -> AsyncGenerator[bytes, None]:
    """Yield the prefix, an array of the parts and the suffix, then close their generator.

    A part is one element or several, with commas between.
    """
    separator = prefix + b"["
    async with aclosing(parts):
        async for part in parts:
            yield separator + part
            separator = b","
    yield (b"]" if separator == b"," else separator + b"]") + suffix


async def render_batches(
    batches: AsyncIterator[Sequence[RowMapping]],
    tax_percent: Decimal,
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield each batch as JSON without brackets."""
    async for rows in batches:
        items = [item_row(row, tax_percent, response_format) for row in rows]
        yield encode_items(items, context=response_format.links)[1:-1]


def item_row(row: RowMapping, tax_percent: Decimal, response_format: ResponseFormat) -> Row:
    """Return an item that `app.invoices.queries.items` selected; the tax is its invoice's."""
    currency = response_format.currency
    price, quantity = row["price"], row["quantity"]
    result: Row = {
        "uuid": row["uuid"],
        "url": row["uuid"],
        "name": row["name"],
        "price": price,
        "tax": money.round_half_even(money.tax_on(price, tax_percent), currency),
        "total": money.round_half_even(money.with_tax(price, tax_percent), currency),
        "unit_price": row["unit_price"],
        "unit": BillingUnit(row["unit"]),
    }
    if (factor := int(quantity)) == quantity:
        result["factor"] = factor
    result["measured_unit"] = row["measured_unit"] or measured_unit(row["unit"], quantity)
    result["start"] = row["start"]
    result["end"] = row["end"]
    result["article_code"] = row["article_code"]
    result["project_name"] = row["project_name"] or NO_PROJECT
    if row["project_uuid"]:
        result["project_uuid"] = row["project_uuid"]
    result["quantity"] = quantity
    result["details"] = shown_details(row["details"], response_format.links)
    result["resource"] = row["resource_uuid"]
    if row["resource_uuid"]:
        result["resource_uuid"] = row["resource_uuid"]
        result["resource_name"] = row["resource_name"]
    if row["billing_type"]:
        result["billing_type"] = row["billing_type"]
    result["backend_uuid"] = row["backend_uuid"]
    result["credit"] = row["credit"]
    return result


def measured_unit(unit: str, quantity: Decimal) -> str:
    """Return the measured unit of an item that has none of its own, by its billing unit."""
    billing_unit = BillingUnit(unit)
    if billing_unit in _COUNTED:
        one, many = _COUNTED[billing_unit]
        return many if quantity > 1 else one
    return _SHARES[billing_unit]


def shown_details(stored: dict[str, Any], links: Links) -> dict[str, Any]:
    """Return details with their UUIDs in the style of the response.

    A Waldur stores hex digits. One that is null or empty is left out: clients that parse UUIDs
    fail on it.
    """
    shown = dict(stored)
    for key in _UUIDS_IN_DETAILS:
        value = shown.get(key, "")
        if value is None or value == "":
            shown.pop(key, None)
        elif isinstance(value, str) and (uuid := parse_uuid(value)):
            shown[key] = links.uuid(uuid)
    return shown
