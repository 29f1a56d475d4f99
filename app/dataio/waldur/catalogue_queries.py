"""Selects of what Waldur knows of customers, people and goods.

References are resolved to UUIDs by outer joins, so that a row whose reference leads nowhere is
seen and can be reported.
"""

from typing import Any

from sqlalchemy import Select, and_, select

from app.dataio.waldur.source import Source


def customers(source: Source) -> Select[Any]:
    """Select the organizations."""
    customer = source.table("structure_customer")
    return select(
        *customer.all(
            "uuid", "name", "email", "phone_number", "address", "postal", "country", "bank_name"
        ),
        *customer.all("bank_account", "vat_code", "default_tax_percent", "accounting_start_date"),
        *customer.all("archived", "created"),
    ).order_by(customer["id"])


def users(source: Source) -> Select[Any]:
    """Select the users."""
    user = source.table("core_user")
    return select(
        *user.all("uuid", "username", "email", "first_name", "last_name", "full_name"),
        *user.all("is_staff", "is_support", "is_active", "date_joined"),
    ).order_by(user["id"])


def tokens(source: Source) -> Select[Any]:
    """Select the keys to the API, with whose they are and how long they live."""
    token, user = source.table("authtoken_token"), source.table("core_user")
    return (
        select(*token.all("key", "created"), user["uuid"].label("user"), user["token_lifetime"])
        .select_from(token.table.outerjoin(user.table, user["id"] == token["user_id"]))
        .order_by(token["user_id"])
    )


def roles(source: Source) -> Select[Any]:
    """Select who holds which role where; `scope` tells the kind of place."""
    held, role = source.table("permissions_userrole"), source.table("permissions_role")
    user, customer = source.table("core_user"), source.table("structure_customer")
    kind = source.table("django_content_type")
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
            *held.all("uuid", "is_active", "created", "expiration_time"),
            role["name"].label("role"),
            (kind["app_label"] + "." + kind["model"]).label("scope"),
            user["uuid"].label("user"),
            customer["uuid"].label("customer"),
        )
        .select_from(joined)
        .order_by(held["id"])
    )


def subnets(source: Source) -> Select[Any]:
    """Select the networks from which customers may be seen."""
    subnet, customer = source.table("structure_accesssubnet"), source.table("structure_customer")
    return (
        select(
            *subnet.all("uuid", "inet", "description"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            subnet.table.outerjoin(customer.table, customer["id"] == subnet["customer_id"])
        )
        .order_by(subnet["id"])
    )


def listed_subnets(source: Source) -> Select[Any]:
    """Select the comma-separated networks that older releases kept with the customer."""
    customer = source.table("structure_customer")
    return (
        select(customer["uuid"].label("customer"), customer["access_subnets"])
        .where(customer["access_subnets"] != "")
        .order_by(customer["id"])
    )


def projects(source: Source) -> Select[Any]:
    """Select the projects, removed ones too."""
    project, customer = source.table("structure_project"), source.table("structure_customer")
    return (
        select(
            *project.all("uuid", "name", "is_removed", "created"),
            customer["uuid"].label("customer"),
        )
        .select_from(
            project.table.outerjoin(customer.table, customer["id"] == project["customer_id"])
        )
        .order_by(project["id"])
    )


def providers(source: Source) -> Select[Any]:
    """Select the customers that sell."""
    provider = source.table("marketplace_serviceprovider")
    customer = source.table("structure_customer")
    return (
        select(*provider.all("uuid", "created"), customer["uuid"].label("customer"))
        .select_from(
            provider.table.outerjoin(customer.table, customer["id"] == provider["customer_id"])
        )
        .order_by(provider["id"])
    )


def categories(source: Source) -> Select[Any]:
    """Select the categories."""
    category = source.table("marketplace_category")
    return select(*category.all("uuid", "title")).order_by(category["id"])


def offerings(source: Source) -> Select[Any]:
    """Select the offerings; a customer of none stays none."""
    offering = source.table("marketplace_offering")
    category = source.table("marketplace_category")
    customer = source.table("structure_customer")
    return (
        select(
            *offering.all("uuid", "name", "type", "created", "customer_id"),
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


def components(source: Source) -> Select[Any]:
    """Select the components of offerings."""
    component = source.table("marketplace_offeringcomponent")
    offering = source.table("marketplace_offering")
    return (
        select(
            *component.all("uuid", "type", "name", "billing_type", "measured_unit", "article_code"),
            offering["uuid"].label("offering"),
        )
        .select_from(
            component.table.outerjoin(offering.table, offering["id"] == component["offering_id"])
        )
        .order_by(component["id"])
    )


def plans(source: Source) -> Select[Any]:
    """Select the plans."""
    plan, offering = source.table("marketplace_plan"), source.table("marketplace_offering")
    return (
        select(
            *plan.all("uuid", "name", "unit", "unit_price", "article_code", "archived", "created"),
            offering["uuid"].label("offering"),
        )
        .select_from(plan.table.outerjoin(offering.table, offering["id"] == plan["offering_id"]))
        .order_by(plan["id"])
    )


def plan_components(source: Source) -> Select[Any]:
    """Select the prices of components in plans, which have no UUID in Waldur."""
    price, plan = source.table("marketplace_plancomponent"), source.table("marketplace_plan")
    component = source.table("marketplace_offeringcomponent")
    return (
        select(
            *price.all("id", "amount", "price", "component_id"),
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


def resources(source: Source) -> Select[Any]:
    """Select what projects have bought."""
    resource, offering = source.table("marketplace_resource"), source.table("marketplace_offering")
    plan, project = source.table("marketplace_plan"), source.table("structure_project")
    return (
        select(
            *resource.all("uuid", "name", "created", "plan_id"),
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
