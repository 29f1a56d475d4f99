"""The selects of Waldur's rows that are more than one table's columns and references."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, and_, func, select

from app.dataio.waldur.source_database import WaldurDatabase

CUSTOMER_SCOPE: Final = "structure.customer"
PROJECT_SCOPE: Final = "structure.project"


def tokens(waldur: WaldurDatabase) -> Select[Any]:
    """Select the API keys, with their users and lifetimes."""
    token, user = waldur.table("authtoken_token"), waldur.table("core_user")
    return (
        select(token["key"], token["created"], user["uuid"].label("user"), user["token_lifetime"])
        .select_from(token.table.outerjoin(user.table, user["id"] == token["user_id"]))
        .order_by(token["user_id"])
    )


def roles(waldur: WaldurDatabase) -> Select[Any]:
    """Select the roles of users.

    `scope` is the kind of object at which a user has the role, `role_scope` the kind for which the
    role was made. Only that kind and the name identify a role: a release may give one name to a
    role of each kind.
    """
    held, role = waldur.table("permissions_userrole"), waldur.table("permissions_role")
    user, customer = waldur.table("core_user"), waldur.table("structure_customer")
    project = waldur.table("structure_project")
    kind = waldur.table("django_content_type")
    role_kind = kind.table.alias("role_kind")
    scope = kind["app_label"] + "." + kind["model"]
    is_customer = and_(customer["id"] == held["object_id"], scope == CUSTOMER_SCOPE)
    is_project = and_(project["id"] == held["object_id"], scope == PROJECT_SCOPE)
    joined = (
        held.table.outerjoin(role.table, role["id"] == held["role_id"])
        .outerjoin(user.table, user["id"] == held["user_id"])
        .outerjoin(kind.table, kind["id"] == held["content_type_id"])
        .outerjoin(role_kind, role_kind.c.id == role["content_type_id"])
        .outerjoin(customer.table, is_customer)
        .outerjoin(project.table, is_project)
    )
    return (
        select(
            *held.columns,
            role["name"].label("role"),
            scope.label("scope"),
            (role_kind.c.app_label + "." + role_kind.c.model).label("role_scope"),
            user["uuid"].label("user"),
            customer["uuid"].label("customer"),
            project["uuid"].label("project"),
        )
        .select_from(joined)
        .order_by(held["id"])
    )


def listed_subnets(waldur: WaldurDatabase) -> Select[Any]:
    """Select the comma-separated subnets that older releases store in the customer."""
    customer = waldur.table("structure_customer")
    return (
        select(customer["uuid"].label("customer"), customer["access_subnets"])
        .where(customer["access_subnets"] != "")
        .order_by(customer["id"])
    )


def profiles(waldur: WaldurDatabase) -> Select[Any]:
    """Select the payment profiles, the active ones after the ones that they replace."""
    profile = waldur.table("invoices_paymentprofile")
    is_active = func.coalesce(profile["is_active"], False)
    statement = waldur.select("invoices_paymentprofile").order_by(None)
    return statement.order_by(is_active, profile["id"])


def credit_offerings(waldur: WaldurDatabase) -> Select[Any]:
    """Select the offerings of each credit, by the id of the credit."""
    link = waldur.table("invoices_customercredit_offerings")
    offering = waldur.table("marketplace_offering")
    return (
        select(link["customercredit_id"].label("credit"), offering["uuid"].label("offering"))
        .select_from(link.table.outerjoin(offering.table, offering["id"] == link["offering_id"]))
        .order_by(link["id"])
    )


def invoices(waldur: WaldurDatabase, *, after: int, limit: int) -> Select[Any]:
    """Select the next invoices, by Waldur's id."""
    statement = waldur.select("invoices_invoice")
    return statement.where(waldur.table("invoices_invoice")["id"] > after).limit(limit)


def items(waldur: WaldurDatabase, invoice_ids: Sequence[int]) -> Select[Any]:
    """Select the items of invoices, in the order of their creation."""
    project = waldur.table("structure_project")
    statement = waldur.select("invoices_invoiceitem").add_columns(
        project["name"].label("name_of_project")
    )
    return statement.where(waldur.table("invoices_invoiceitem")["invoice_id"].in_(invoice_ids))
