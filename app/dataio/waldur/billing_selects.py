"""Selects of Waldur's payment profiles, credits, invoices, items and payments."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from app.dataio.waldur.source_database import WaldurDatabase

_CUSTOMER = ("structure_customer", "customer_id")


def profiles(waldur: WaldurDatabase) -> Select[Any]:
    """Select the payment profiles, the active ones after the ones that they replace."""
    profile = waldur.table("invoices_paymentprofile")
    statement = waldur.select(
        "invoices_paymentprofile",
        *("uuid", "name", "payment_type", "attributes", "is_active"),
        customer=("structure_customer", "organization_id"),
    )
    is_active = func.coalesce(profile["is_active"], False)
    return statement.order_by(None).order_by(is_active, profile["id"])


def customer_credits(waldur: WaldurDatabase) -> Select[Any]:
    """Select the credits of customers."""
    return waldur.select(
        "invoices_customercredit",
        *("id", "uuid", "value", "end_date", "minimal_consumption", "created"),
        *("expected_consumption", "minimal_consumption_logic"),
        customer=_CUSTOMER,
    )


def credit_offerings(waldur: WaldurDatabase) -> Select[Any]:
    """Select the offerings of each credit, by the id of the credit."""
    link = waldur.table("invoices_customercredit_offerings")
    offering = waldur.table("marketplace_offering")
    return (
        select(link["customercredit_id"].label("credit"), offering["uuid"].label("offering"))
        .select_from(link.table.outerjoin(offering.table, offering["id"] == link["offering_id"]))
        .order_by(link["id"])
    )


def project_credits(waldur: WaldurDatabase) -> Select[Any]:
    """Count the credits of projects."""
    return select(func.count().label("count")).select_from(
        waldur.table("invoices_projectcredit").table
    )


def invoices(waldur: WaldurDatabase, *, after: int, limit: int) -> Select[Any]:
    """Select the next invoices, by Waldur's id."""
    statement = waldur.select(
        "invoices_invoice",
        *("id", "uuid", "year", "month", "state", "tax_percent", "invoice_date"),
        *("created", "backend_id", "payment_url", "reference_number", "total_cost"),
        customer=_CUSTOMER,
    )
    return statement.where(waldur.table("invoices_invoice")["id"] > after).limit(limit)


def items(waldur: WaldurDatabase, invoice_ids: Sequence[int]) -> Select[Any]:
    """Select the items of invoices, in the order of their creation."""
    references = {
        "project": ("structure_project", "project_id"),
        "resource": ("marketplace_resource", "resource_id"),
    }
    if waldur.has("invoices_customercredit"):
        references["customer_credit"] = ("invoices_customercredit", "credit_id")
    statement = waldur.select(
        "invoices_invoiceitem",
        *("id", "uuid", "invoice_id", "name", "unit_price", "quantity", "unit"),
        *("start", "end", "details", "article_code", "measured_unit", "project_id"),
        *("project_name", "project_uuid", "resource_id", "backend_uuid", "credit_id"),
        **references,
    )
    return statement.where(waldur.table("invoices_invoiceitem")["invoice_id"].in_(invoice_ids))


def payments(waldur: WaldurDatabase) -> Select[Any]:
    """Select the payments."""
    return waldur.select(
        "invoices_payment",
        *("uuid", "sum", "date_of_payment", "created", "proof", "invoice_id"),
        profile=("invoices_paymentprofile", "profile_id"),
        invoice=("invoices_invoice", "invoice_id"),
    )
