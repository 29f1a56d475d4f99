"""Access by roles in projects: which projects and customers the conditions of a scope match."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import CustomerRoleName, ProjectRoleName
from app.customers.models import Project
from app.identity.access import (
    Scope,
    visibility_of,
    visible_customers,
    visible_customers_or_projects,
    visible_projects,
)
from app.identity.caller import Caller
from tests.support.factories import Factories, Row, UserRow

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Sees = Callable[[UserRow, Callable[[Scope], ColumnElement[bool]]], Awaitable[set[int]]]


def of_customer(scope: Scope) -> ColumnElement[bool]:
    return visible_customers(Project.customer_id, scope)


def of_seller(scope: Scope) -> ColumnElement[bool]:
    sellers = (CustomerRoleName.OWNER, CustomerRoleName.MANAGER)
    return visible_customers(Project.customer_id, scope, sellers)


def of_project(scope: Scope) -> ColumnElement[bool]:
    return visible_projects(Project.id, scope)


def of_billing(scope: Scope) -> ColumnElement[bool]:
    return visible_projects(Project.id, scope, with_billing=True)


def of_either(scope: Scope) -> ColumnElement[bool]:
    return visible_customers_or_projects(Project.customer_id, Project.id, scope, with_billing=True)


def caller_of(user: UserRow, address: str | None) -> Caller:
    place = ip_address(address) if address else None
    return Caller(user.id, user.uuid, "caller", "", is_staff=False, is_support=False, address=place)


async def projects_of(
    connection: AsyncConnection,
    caller: Caller,
    condition: Callable[[Scope], ColumnElement[bool]],
) -> set[int]:
    """Return the keys of the projects that the condition of the caller's scope matches."""
    scope, values = visibility_of(caller, NOW)
    rows = await connection.execute(select(Project.id).where(condition(scope)), values)
    return set(rows.scalars())


@pytest.fixture
def sees(connection: AsyncConnection) -> Sees:
    async def find(
        user: UserRow, condition: Callable[[Scope], ColumnElement[bool]], address: str = "10.0.0.1"
    ) -> set[int]:
        return await projects_of(connection, caller_of(user, address), condition)

    return find


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def project(make: Factories, customer: Row) -> Row:
    await make.project(customer)
    return await make.project(customer)


@pytest.mark.parametrize("role", ProjectRoleName)
async def test_each_role_in_a_project_gives_access_to_that_project_alone(
    role: ProjectRoleName, make: Factories, project: Row, sees: Sees
) -> None:
    user = await make.user()
    await make.project_role(user, project, role=role)
    assert await sees(user, of_project) == {project.id}
    assert await sees(user, of_either) == {project.id}
    assert await sees(user, of_customer) == set()


async def test_a_role_in_a_project_must_be_active_and_not_expired(
    make: Factories, project: Row, sees: Sees
) -> None:
    inactive, expired, ending = [await make.user() for _ in range(3)]
    await make.project_role(inactive, project, is_active=False)
    await make.project_role(expired, project, expires_at=NOW)
    await make.project_role(ending, project, expires_at=NOW + timedelta(seconds=1))
    assert await sees(inactive, of_project) == set()
    assert await sees(expired, of_project) == set()
    assert await sees(ending, of_project) == {project.id}


async def test_a_customer_may_hide_its_billing_from_its_projects(
    make: Factories, sees: Sees
) -> None:
    hiding = await make.customer(display_billing_info_in_projects=False)
    project = await make.project(hiding)
    member, owner = await make.member(project), await make.owner(hiding)
    assert await sees(member, of_project) == {project.id}
    assert await sees(member, of_billing) == set()
    assert await sees(member, of_either) == set()
    assert await sees(owner, of_either) == {project.id}


async def test_roles_at_customers_and_in_projects_add_up(
    make: Factories, customer: Row, project: Row, sees: Sees
) -> None:
    other = await make.project(await make.customer())
    user = await make.owner(customer)
    await make.project_role(user, other)
    of_owner = await sees(user, of_customer)
    assert len(of_owner) == 2
    assert project.id in of_owner
    assert await sees(user, of_either) == of_owner | {other.id}
    assert await sees(user, of_project) == {other.id}


@pytest.mark.parametrize(
    ("networks", "address", "seen"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.0.0.0/8", None], "11.1.2.3", True),
        (["10.0.0.0/8"], None, False),
        ([None], None, True),
        ([], None, True),
    ],
)
async def test_the_access_subnets_of_its_customer_restrict_access_to_a_project(  # noqa: PLR0917
    networks: list[str | None],
    address: str | None,
    seen: bool,
    make: Factories,
    customer: Row,
    project: Row,
    connection: AsyncConnection,
) -> None:
    for network in networks:
        await make.subnet(customer, network)
    caller = caller_of(await make.member(project), address)
    for condition in (of_project, of_billing, of_either):
        seen_projects = await projects_of(connection, caller, condition)
        assert seen_projects == ({project.id} if seen else set())


@pytest.mark.parametrize("role", CustomerRoleName)
async def test_a_condition_may_ask_for_some_roles_at_the_customer(
    role: CustomerRoleName, make: Factories, customer: Row, project: Row, sees: Sees
) -> None:
    user = await make.user()
    await make.role(user, customer, role=role)
    is_seller = role in {CustomerRoleName.OWNER, CustomerRoleName.MANAGER}
    assert (project.id in await sees(user, of_seller)) is is_seller
    assert project.id in await sees(user, of_customer)


@pytest.mark.parametrize("kind", ["is_staff", "is_support"])
async def test_staff_and_support_see_every_project(
    kind: str, make: Factories, customer: Row, project: Row, connection: AsyncConnection
) -> None:
    await make.subnet(customer, "10.0.0.0/8")
    without_roles = caller_of(await make.user(), None)
    is_staff = kind == "is_staff"
    caller = replace(without_roles, is_staff=is_staff, is_support=not is_staff)
    for condition in (of_project, of_billing, of_either):
        assert project.id in await projects_of(connection, caller, condition)
