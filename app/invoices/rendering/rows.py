"""Database rows of invoices and items as rows of the documented schemas."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import RowMapping

from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import BillingUnit
from app.billing.quantities import displayed_measured_unit, whole_factor
from app.customers.countries import country_name
from app.invoices.schemas import InvoiceStateEnum, Row
from app.settings import Settings

NO_PROJECT: Final = "N/A"
"""The project name of an item without a project."""


def invoice_row(row: RowMapping, fields: Sequence[str], settings: Settings) -> Row:
    """Return the fields of an invoice, without its items. A due date that is null is left out."""
    result: Row = {}
    for field in fields:
        if field in _DERIVED:
            result[field] = _DERIVED[field](row, settings)
        elif field != "items" and not (field == "due_date" and row[field] is None):
            result[field] = row[field]
    return result


def _customer_details(row: RowMapping, settings: Settings) -> Row:
    return {
        "name": row["name"],
        "address": row["address"],
        "country": row["country"],
        "country_name": country_name(row["country"], settings.locale),
        "email": row["email"],
        "postal": row["postal"],
        "phone_number": row["phone_number"],
        "bank_name": row["bank_name"],
        "bank_account": row["bank_account"],
        "vat_code": row["vat_code"],
    }


_DERIVED: dict[str, Callable[[RowMapping, Settings], Any]] = {
    "url": lambda row, _: row["uuid"],
    "price": lambda row, _: row["total_price"],
    "tax": lambda row, _: money.tax_on(row["total_price"], row["tax_percent"]),
    "total": lambda row, _: money.with_tax(row["total_price"], row["tax_percent"]),
    "state": lambda row, _: InvoiceStateEnum(row["state"]),
    "issuer_details": lambda _, settings: settings.issuer_details.model_dump(),
    "customer_details": _customer_details,
}
"""The fields that are not the column with their name."""


def item_row(row: RowMapping, tax_percent: Decimal, currency: Currency) -> Row:
    """Return an item that `app.invoices.queries.items` selected; the tax is its invoice's."""
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
    if (factor := whole_factor(quantity)) is not None:
        result["factor"] = factor
    result["measured_unit"] = displayed_measured_unit(row["measured_unit"], row["unit"], quantity)
    result["start"] = row["start"]
    result["end"] = row["end"]
    result["article_code"] = row["article_code"]
    result["project_name"] = row["project_name"] or NO_PROJECT
    if row["project_uuid"]:
        result["project_uuid"] = row["project_uuid"]
    result["quantity"] = quantity
    result["details"] = row["details"]
    result["resource"] = row["resource_uuid"]
    if row["resource_uuid"]:
        result["resource_uuid"] = row["resource_uuid"]
        result["resource_name"] = row["resource_name"]
    if row["billing_type"]:
        result["billing_type"] = row["billing_type"]
    result["backend_uuid"] = row["backend_uuid"]
    result["credit"] = row["credit"]
    return result
