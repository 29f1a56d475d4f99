"""Selects of what Waldur knows of money: profiles, credits, invoices, items and payments."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select

from app.dataio.waldur.source import Source


def profiles(source: Source) -> Select[Any]:
    """Select how customers pay; the active ones last, so that none meets its predecessor."""
    profile = source.table("invoices_paymentprofile")
    customer = source.table("structure_customer")
    return (
        select(
            *profile.all("uuid", "name", "payment_type", "attributes", "is_active"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            profile.table.outerjoin(customer.table, customer["id"] == profile["organization_id"])
        )
        .order_by(func.coalesce(profile["is_active"], False), profile["id"])
    )


def customer_credits(source: Source) -> Select[Any]:
    """Select the credits of customers."""
    credit, customer = source.table("invoices_customercredit"), source.table("structure_customer")
    return (
        select(
            *credit.all("id", "uuid", "value", "end_date", "minimal_consumption", "created"),
            *credit.all("expected_consumption", "minimal_consumption_logic"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            credit.table.outerjoin(customer.table, customer["id"] == credit["customer_id"])
        )
        .order_by(credit["id"])
    )


def credit_offerings(source: Source) -> Select[Any]:
    """Select which offerings each credit, by its id, may be spent on."""
    link = source.table("invoices_customercredit_offerings")
    offering = source.table("marketplace_offering")
    return (
        select(link["customercredit_id"].label("credit"), offering["uuid"].label("offering"))
        .select_from(link.table.outerjoin(offering.table, offering["id"] == link["offering_id"]))
        .order_by(link["id"])
    )


def project_credits(source: Source) -> Select[Any]:
    """Count the credits of projects."""
    return select(func.count().label("count")).select_from(
        source.table("invoices_projectcredit").table
    )


def invoices(source: Source, *, after: int, limit: int) -> Select[Any]:
    """Select the next invoices by Waldur's id."""
    invoice, customer = source.table("invoices_invoice"), source.table("structure_customer")
    return (
        select(
            *invoice.all("id", "uuid", "year", "month", "state", "tax_percent", "invoice_date"),
            *invoice.all("created", "backend_id", "payment_url", "reference_number", "total_cost"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            invoice.table.outerjoin(customer.table, customer["id"] == invoice["customer_id"])
        )
        .where(invoice["id"] > after)
        .order_by(invoice["id"])
        .limit(limit)
    )


def items(source: Source, invoice_ids: Sequence[int]) -> Select[Any]:
    """Select the items of some invoices, in the order of their creation."""
    item, project = source.table("invoices_invoiceitem"), source.table("structure_project")
    resource = source.table("marketplace_resource")
    columns = [
        *item.all("id", "uuid", "invoice_id", "name", "unit_price", "quantity", "unit"),
        *item.all("start", "end", "details", "article_code", "measured_unit", "project_id"),
        *item.all("project_name", "project_uuid", "resource_id", "backend_uuid", "credit_id"),
        project["uuid"].label("project"),
        resource["uuid"].label("resource"),
    ]
    joined = item.table.outerjoin(project.table, project["id"] == item["project_id"]).outerjoin(
        resource.table, resource["id"] == item["resource_id"]
    )
    if source.has("invoices_customercredit"):
        credit = source.table("invoices_customercredit")
        columns.append(credit["uuid"].label("customer_credit"))
        joined = joined.outerjoin(credit.table, credit["id"] == item["credit_id"])
    return (
        select(*columns)
        .select_from(joined)
        .where(item["invoice_id"].in_(invoice_ids))
        .order_by(item["id"])
    )


def payments(source: Source) -> Select[Any]:
    """Select the payments."""
    payment, profile = source.table("invoices_payment"), source.table("invoices_paymentprofile")
    invoice = source.table("invoices_invoice")
    return (
        select(
            *payment.all("uuid", "sum", "date_of_payment", "created", "proof", "invoice_id"),
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
