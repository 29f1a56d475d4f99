"""Selects of Waldur's payment profiles, credits, invoices, items and payments."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from app.dataio.waldur.source_database import WaldurDatabase


def profiles(waldur: WaldurDatabase) -> Select[Any]:
    """Select the payment profiles, the active ones after the ones that they replace."""
    profile = waldur.table("invoices_paymentprofile")
    customer = waldur.table("structure_customer")
    return (
        select(
            *profile.columns("uuid", "name", "payment_type", "attributes", "is_active"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            profile.table.outerjoin(customer.table, customer["id"] == profile["organization_id"])
        )
        .order_by(func.coalesce(profile["is_active"], False), profile["id"])
    )


def customer_credits(waldur: WaldurDatabase) -> Select[Any]:
    """Select the credits of customers."""
    credit, customer = waldur.table("invoices_customercredit"), waldur.table("structure_customer")
    return (
        select(
            *credit.columns("id", "uuid", "value", "end_date", "minimal_consumption", "created"),
            *credit.columns("expected_consumption", "minimal_consumption_logic"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            credit.table.outerjoin(customer.table, customer["id"] == credit["customer_id"])
        )
        .order_by(credit["id"])
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
    invoice, customer = waldur.table("invoices_invoice"), waldur.table("structure_customer")
    return (
        select(
            *invoice.columns("id", "uuid", "year", "month", "state", "tax_percent", "invoice_date"),
            *invoice.columns(
                "created", "backend_id", "payment_url", "reference_number", "total_cost"
            ),
            customer["uuid"].label("customer"),
        )
        .select_from(
            invoice.table.outerjoin(customer.table, customer["id"] == invoice["customer_id"])
        )
        .where(invoice["id"] > after)
        .order_by(invoice["id"])
        .limit(limit)
    )


def items(waldur: WaldurDatabase, invoice_ids: Sequence[int]) -> Select[Any]:
    """Select the items of invoices, in the order of their creation."""
    item, project = waldur.table("invoices_invoiceitem"), waldur.table("structure_project")
    resource = waldur.table("marketplace_resource")
    columns = [
        *item.columns("id", "uuid", "invoice_id", "name", "unit_price", "quantity", "unit"),
        *item.columns("start", "end", "details", "article_code", "measured_unit", "project_id"),
        *item.columns("project_name", "project_uuid", "resource_id", "backend_uuid", "credit_id"),
        project["uuid"].label("project"),
        resource["uuid"].label("resource"),
    ]
    joined = item.table.outerjoin(project.table, project["id"] == item["project_id"]).outerjoin(
        resource.table, resource["id"] == item["resource_id"]
    )
    if waldur.has("invoices_customercredit"):
        credit = waldur.table("invoices_customercredit")
        columns.append(credit["uuid"].label("customer_credit"))
        joined = joined.outerjoin(credit.table, credit["id"] == item["credit_id"])
    return (
        select(*columns)
        .select_from(joined)
        .where(item["invoice_id"].in_(invoice_ids))
        .order_by(item["id"])
    )


def payments(waldur: WaldurDatabase) -> Select[Any]:
    """Select the payments."""
    payment, profile = waldur.table("invoices_payment"), waldur.table("invoices_paymentprofile")
    invoice = waldur.table("invoices_invoice")
    return (
        select(
            *payment.columns("uuid", "sum", "date_of_payment", "created", "proof", "invoice_id"),
            profile["uuid"].label("profile"),
            invoice["uuid"].label("invoice"),
        )
        .select_from(
            payment.table.outerjoin(
                profile.table, profile["id"] == payment["profile_id"]
            ).outerjoin(invoice.table, invoice["id"] == payment["invoice_id"])
        )
        .order_by(payment["id"])
    )
