"""Selects of Waldur's customers, users and catalogue."""

from typing import Any

from sqlalchemy import Select, and_, select

from app.dataio.waldur.source_database import WaldurDatabase

_CUSTOMER = ("structure_customer", "customer_id")
_OFFERING = ("marketplace_offering", "offering_id")
_PLAN = ("marketplace_plan", "plan_id")


def customers(waldur: WaldurDatabase) -> Select[Any]:
    """Select the organizations."""
    return waldur.select(
        "structure_customer",
        *("uuid", "name", "email", "phone_number", "address", "postal", "country", "bank_name"),
        *("bank_account", "vat_code", "default_tax_percent", "accounting_start_date"),
        *("archived", "created"),
    )


def users(waldur: WaldurDatabase) -> Select[Any]:
    """Select the users."""
    return waldur.select(
        "core_user",
        *("uuid", "username", "email", "first_name", "last_name", "full_name"),
        *("is_staff", "is_support", "is_active", "date_joined"),
    )


def tokens(waldur: WaldurDatabase) -> Select[Any]:
    """Select the API keys, with their users and lifetimes."""
    token, user = waldur.table("authtoken_token"), waldur.table("core_user")
    return (
        select(*token.columns("key", "created"), user["uuid"].label("user"), user["token_lifetime"])
        .select_from(token.table.outerjoin(user.table, user["id"] == token["user_id"]))
        .order_by(token["user_id"])
    )


def roles(waldur: WaldurDatabase) -> Select[Any]:
    """Select the roles of users. `scope` is the kind of object at which a user has the role."""
    held, role = waldur.table("permissions_userrole"), waldur.table("permissions_role")
    user, customer = waldur.table("core_user"), waldur.table("structure_customer")
    kind = waldur.table("django_content_type")
    joined = (
        held.table.outerjoin(role.table, role["id"] == held["role_id"])
        .outerjoin(user.table, user["id"] == held["user_id"])
        .outerjoin(kind.table, kind["id"] == held["content_type_id"])
        .outerjoin(
            customer.table,
            and_(
                customer["id"] == held["object_id"],
                kind["app_label"] == "structure",
                kind["model"] == "customer",
            ),
        )
    )
    return (
        select(
            *held.columns("uuid", "is_active", "created", "expiration_time"),
            role["name"].label("role"),
            (kind["app_label"] + "." + kind["model"]).label("scope"),
            user["uuid"].label("user"),
            customer["uuid"].label("customer"),
        )
        .select_from(joined)
        .order_by(held["id"])
    )


def subnets(waldur: WaldurDatabase) -> Select[Any]:
    """Select the access subnets of customers."""
    return waldur.select(
        "structure_accesssubnet", "uuid", "inet", "description", customer=_CUSTOMER
    )


def listed_subnets(waldur: WaldurDatabase) -> Select[Any]:
    """Select the comma-separated subnets that older releases store in the customer."""
    customer = waldur.table("structure_customer")
    return (
        select(customer["uuid"].label("customer"), customer["access_subnets"])
        .where(customer["access_subnets"] != "")
        .order_by(customer["id"])
    )


def projects(waldur: WaldurDatabase) -> Select[Any]:
    """Select the projects, including removed ones."""
    return waldur.select(
        "structure_project", "uuid", "name", "is_removed", "created", customer=_CUSTOMER
    )


def providers(waldur: WaldurDatabase) -> Select[Any]:
    """Select the service providers."""
    return waldur.select("marketplace_serviceprovider", "uuid", "created", customer=_CUSTOMER)


def categories(waldur: WaldurDatabase) -> Select[Any]:
    """Select the categories."""
    return waldur.select("marketplace_category", "uuid", "title")


def offerings(waldur: WaldurDatabase) -> Select[Any]:
    """Select the offerings. `customer_id` distinguishes no customer from a missing one."""
    return waldur.select(
        "marketplace_offering",
        *("uuid", "name", "type", "created", "customer_id"),
        category=("marketplace_category", "category_id"),
        customer=_CUSTOMER,
    )


def components(waldur: WaldurDatabase) -> Select[Any]:
    """Select the components of offerings."""
    return waldur.select(
        "marketplace_offeringcomponent",
        *("uuid", "type", "name", "billing_type", "measured_unit", "article_code"),
        offering=_OFFERING,
    )


def plans(waldur: WaldurDatabase) -> Select[Any]:
    """Select the plans."""
    return waldur.select(
        "marketplace_plan",
        *("uuid", "name", "unit", "unit_price", "article_code", "archived", "created"),
        offering=_OFFERING,
    )


def plan_components(waldur: WaldurDatabase) -> Select[Any]:
    """Select the prices of components in plans, which have no UUID in Waldur."""
    return waldur.select(
        "marketplace_plancomponent",
        *("id", "amount", "price", "component_id"),
        plan=_PLAN,
        component=("marketplace_offeringcomponent", "component_id"),
    )


def resources(waldur: WaldurDatabase) -> Select[Any]:
    """Select the resources of projects."""
    return waldur.select(
        "marketplace_resource",
        *("uuid", "name", "created", "plan_id"),
        offering=_OFFERING,
        plan=_PLAN,
        project=("structure_project", "project_id"),
    )
