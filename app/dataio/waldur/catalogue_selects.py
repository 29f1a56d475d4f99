"""Selects of Waldur's customers, users and catalogue.

Outer joins resolve references to UUIDs, so that the import can report a row whose reference does
not exist.
"""

from typing import Any

from sqlalchemy import Select, and_, select

from app.dataio.waldur.source_database import WaldurDatabase


def customers(waldur: WaldurDatabase) -> Select[Any]:
    """Select the organizations."""
    customer = waldur.table("structure_customer")
    return select(
        *customer.columns(
            "uuid", "name", "email", "phone_number", "address", "postal", "country", "bank_name"
        ),
        *customer.columns(
            "bank_account", "vat_code", "default_tax_percent", "accounting_start_date"
        ),
        *customer.columns("archived", "created"),
    ).order_by(customer["id"])


def users(waldur: WaldurDatabase) -> Select[Any]:
    """Select the users."""
    user = waldur.table("core_user")
    return select(
        *user.columns("uuid", "username", "email", "first_name", "last_name", "full_name"),
        *user.columns("is_staff", "is_support", "is_active", "date_joined"),
    ).order_by(user["id"])


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
    subnet, customer = waldur.table("structure_accesssubnet"), waldur.table("structure_customer")
    return (
        select(
            *subnet.columns("uuid", "inet", "description"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            subnet.table.outerjoin(customer.table, customer["id"] == subnet["customer_id"])
        )
        .order_by(subnet["id"])
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
    project, customer = waldur.table("structure_project"), waldur.table("structure_customer")
    return (
        select(
            *project.columns("uuid", "name", "is_removed", "created"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            project.table.outerjoin(customer.table, customer["id"] == project["customer_id"])
        )
        .order_by(project["id"])
    )


def providers(waldur: WaldurDatabase) -> Select[Any]:
    """Select the service providers."""
    provider = waldur.table("marketplace_serviceprovider")
    customer = waldur.table("structure_customer")
    return (
        select(*provider.columns("uuid", "created"), customer["uuid"].label("customer"))
        .select_from(
            provider.table.outerjoin(customer.table, customer["id"] == provider["customer_id"])
        )
        .order_by(provider["id"])
    )


def categories(waldur: WaldurDatabase) -> Select[Any]:
    """Select the categories."""
    category = waldur.table("marketplace_category")
    return select(*category.columns("uuid", "title")).order_by(category["id"])


def offerings(waldur: WaldurDatabase) -> Select[Any]:
    """Select the offerings. `customer_id` distinguishes no customer from a missing one."""
    offering = waldur.table("marketplace_offering")
    category = waldur.table("marketplace_category")
    customer = waldur.table("structure_customer")
    return (
        select(
            *offering.columns("uuid", "name", "type", "created", "customer_id"),
            category["uuid"].label("category"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            offering.table.outerjoin(
                category.table, category["id"] == offering["category_id"]
            ).outerjoin(customer.table, customer["id"] == offering["customer_id"])
        )
        .order_by(offering["id"])
    )


def components(waldur: WaldurDatabase) -> Select[Any]:
    """Select the components of offerings."""
    component = waldur.table("marketplace_offeringcomponent")
    offering = waldur.table("marketplace_offering")
    return (
        select(
            *component.columns(
                "uuid", "type", "name", "billing_type", "measured_unit", "article_code"
            ),
            offering["uuid"].label("offering"),
        )
        .select_from(
            component.table.outerjoin(offering.table, offering["id"] == component["offering_id"])
        )
        .order_by(component["id"])
    )


def plans(waldur: WaldurDatabase) -> Select[Any]:
    """Select the plans."""
    plan, offering = waldur.table("marketplace_plan"), waldur.table("marketplace_offering")
    return (
        select(
            *plan.columns(
                "uuid", "name", "unit", "unit_price", "article_code", "archived", "created"
            ),
            offering["uuid"].label("offering"),
        )
        .select_from(plan.table.outerjoin(offering.table, offering["id"] == plan["offering_id"]))
        .order_by(plan["id"])
    )


def plan_components(waldur: WaldurDatabase) -> Select[Any]:
    """Select the prices of components in plans, which have no UUID in Waldur."""
    price, plan = waldur.table("marketplace_plancomponent"), waldur.table("marketplace_plan")
    component = waldur.table("marketplace_offeringcomponent")
    return (
        select(
            *price.columns("id", "amount", "price", "component_id"),
            plan["uuid"].label("plan"),
            component["uuid"].label("component"),
        )
        .select_from(
            price.table.outerjoin(plan.table, plan["id"] == price["plan_id"]).outerjoin(
                component.table, component["id"] == price["component_id"]
            )
        )
        .order_by(price["id"])
    )


def resources(waldur: WaldurDatabase) -> Select[Any]:
    """Select the resources of projects."""
    resource, offering = waldur.table("marketplace_resource"), waldur.table("marketplace_offering")
    plan, project = waldur.table("marketplace_plan"), waldur.table("structure_project")
    return (
        select(
            *resource.columns("uuid", "name", "created", "plan_id"),
            offering["uuid"].label("offering"),
            plan["uuid"].label("plan"),
            project["uuid"].label("project"),
        )
        .select_from(
            resource.table.outerjoin(offering.table, offering["id"] == resource["offering_id"])
            .outerjoin(plan.table, plan["id"] == resource["plan_id"])
            .outerjoin(project.table, project["id"] == resource["project_id"])
        )
        .order_by(resource["id"])
    )
