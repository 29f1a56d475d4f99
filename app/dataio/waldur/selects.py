"""The selects of Waldur's rows that are more than one table's columns and references."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Select, Text, and_, cast, func, select

from app.dataio.waldur.source_database import WaldurDatabase

CUSTOMER_SCOPE: Final = "structure.customer"
PROJECT_SCOPE: Final = "structure.project"
INVOICE_KIND: Final = "invoices.invoice"


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


def customer_groups(waldur: WaldurDatabase) -> Select[Any] | None:
    """Select the groups of organizations: `owner` is the id of the organization, `uuid` a group's.

    In older releases an organization has only one group. Returns None for a release without any.
    """
    group = waldur.table("structure_organizationgroup")
    if not waldur.has("structure_organizationgroup"):
        return None
    if waldur.has("structure_customer_organization_groups"):
        link = waldur.table("structure_customer_organization_groups")
        owner, key = link["customer_id"], link["organizationgroup_id"]
    else:
        link = waldur.table("structure_customer")
        owner, key = link["id"], link["organization_group_id"]
    return (
        select(owner.label("owner"), group["uuid"])
        .select_from(link.table.join(group.table, group["id"] == key))
        .order_by(link["id"], group["id"])
    )


def credit_offerings(waldur: WaldurDatabase) -> Select[Any] | None:
    """Select the offerings of credits: `owner` is the id of the credit, `uuid` an offering's.

    Returns None for a release without them.
    """
    if not waldur.has("invoices_customercredit_offerings"):
        return None
    link = waldur.table("invoices_customercredit_offerings")
    offering = waldur.table("marketplace_offering")
    return (
        select(link["customercredit_id"].label("owner"), offering["uuid"])
        .select_from(link.table.join(offering.table, offering["id"] == link["offering_id"]))
        .order_by(link["id"])
    )


def ledger(waldur: WaldurDatabase) -> Select[Any]:
    """Select the movements of credits, with the UUIDs of the rows that they name by id.

    A movement of a project credit that was deleted since names only its project, by 32 hexadecimal
    digits. `cause` is the kind of object that caused the movement.
    """
    entry, kind = waldur.table("invoices_credittransaction"), waldur.table("django_content_type")
    credit = waldur.table("invoices_customercredit")
    share = waldur.table("invoices_projectcredit")
    invoice = waldur.table("invoices_invoice")
    customers = waldur.table("structure_customer").table
    projects = waldur.table("structure_project").table
    of_credit, of_project = customers.alias("of_credit"), customers.alias("of_project")
    of_share, named = projects.alias("of_share"), projects.alias("named")
    cause = kind["app_label"] + "." + kind["model"]
    is_orphan = and_(credit["id"].is_(None), share["id"].is_(None))
    digits = func.replace(cast(named.c.uuid, Text), "-", "")
    customer_id = func.coalesce(of_share.c.customer_id, named.c.customer_id)
    joined = (
        entry.table.outerjoin(credit.table, credit["id"] == entry["credit_id"])
        .outerjoin(of_credit, of_credit.c.id == credit["customer_id"])
        .outerjoin(share.table, share["id"] == entry["project_credit_id"])
        .outerjoin(of_share, of_share.c.id == share["project_id"])
        .outerjoin(named, and_(is_orphan, digits == entry["project_uuid"]))
        .outerjoin(of_project, of_project.c.id == customer_id)
        .outerjoin(kind.table, kind["id"] == entry["content_type_id"])
        .outerjoin(invoice.table, and_(invoice["id"] == entry["object_id"], cause == INVOICE_KIND))
    )
    return (
        select(
            *entry.columns,
            credit["uuid"].label("customer_credit"),
            share["uuid"].label("project_credit"),
            func.coalesce(of_credit.c.uuid, of_project.c.uuid).label("customer"),
            of_share.c.uuid.label("project"),
            cause.label("cause"),
            invoice["uuid"].label("invoice"),
        )
        .select_from(joined)
        .order_by(entry["id"])
    )


def ledger_uuids(waldur: WaldurDatabase) -> Select[Any]:
    """Select the UUIDs of all movements of credits."""
    return select(waldur.table("invoices_credittransaction")["uuid"])


def affiliates(waldur: WaldurDatabase) -> Select[Any]:
    """Select the affiliates of customers, the active ones after the ones that they replace.

    `is_newest` is whether an active affiliate is the newest one of its customer: older releases
    allow several.
    """
    affiliate = waldur.table("invoices_customeraffiliate")
    newest = func.max(affiliate["id"]).filter(affiliate["is_active"])
    is_newest = affiliate["id"] == newest.over(partition_by=affiliate["customer_id"])
    statement = waldur.select("invoices_customeraffiliate").add_columns(
        func.coalesce(is_newest, False).label("is_newest")
    )
    return statement.order_by(None).order_by(affiliate["is_active"], affiliate["id"])


def invoices(waldur: WaldurDatabase, *, after: int, limit: int) -> Select[Any]:
    """Select the next invoices, by Waldur's id."""
    statement = waldur.select("invoices_invoice")
    return statement.where(waldur.table("invoices_invoice")["id"] > after).limit(limit)


def items(waldur: WaldurDatabase, invoice_ids: Sequence[int]) -> Select[Any]:
    """Select the items of invoices, in the order of their creation."""
    statement = waldur.select("invoices_invoiceitem")
    return statement.where(waldur.table("invoices_invoiceitem")["invoice_id"].in_(invoice_ids))
