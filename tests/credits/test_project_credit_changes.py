"""Staff and owners create, change and delete the credits of projects."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import CustomerRoleName
from app.credits.models import CreditTransaction
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

URL = "/api/project-credits/"


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 5, tzinfo=UTC))


def body_of(project: Row, **values: Any) -> dict[str, Any]:
    return {"project": f"{BASE}/api/projects/{project.uuid.hex}/", **values}


async def ledger(connection: AsyncConnection) -> list[tuple[str, Decimal]]:
    statement = select(CreditTransaction.transaction_type, CreditTransaction.amount)
    rows = await connection.execute(statement.order_by(CreditTransaction.id))
    return [(row[0], row[1]) for row in rows]


async def test_an_owner_shares_the_credit_of_the_organization(
    make: Factories, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    await make.credit(customer, "100")
    project = await make.project(customer)
    owner = await make.owner(customer)
    answer = await client.post(
        URL,
        json=body_of(project, value="60", mark_unused_credit_as_spent_on_project_termination=True),
        headers=owner.headers,
    )
    assert answer.status_code == 201, answer.text
    assert (answer.json()["value"], answer.json()["customer_credit"]) == ("60.00000", "100.00000")
    assert answer.json()["mark_unused_credit_as_spent_on_project_termination"] is True
    again = await client.post(URL, json=body_of(project), headers=owner.headers)
    assert again.json() == {"project": ["project credit with this project already exists."]}
    url = f"{URL}{answer.json()['uuid']}/"
    changed = await client.patch(url, json={"value": "50"}, headers=owner.headers)
    assert changed.json()["value"] == "50.00000"
    assert (await client.delete(url, headers=owner.headers)).status_code == 204
    assert await ledger(connection) == [
        ("staff_grant", Decimal(60)),
        ("staff_grant", Decimal(-10)),
        ("adjustment", Decimal(-50)),
    ]


async def test_the_shares_with_the_own_one_are_limited_by_the_organization(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    await make.credit(customer, "100")
    project, other = await make.project(customer), await make.project(customer)
    share = await make.project_credit(other, "60")
    staff = await make.staff()
    message = ["The sum of project credits cannot exceed the credit for organization."]
    answer = await client.post(URL, json=body_of(project, value="40.00001"), headers=staff.headers)
    assert (answer.status_code, answer.json()) == (400, message)
    answer = await client.post(URL, json=body_of(project, value="40"), headers=staff.headers)
    assert answer.status_code == 201
    answer = await client.patch(
        f"{URL}{share.uuid}/", json={"value": "60.00001"}, headers=staff.headers
    )
    assert (answer.status_code, answer.json()) == (400, message)


async def test_a_project_that_has_too_much_can_be_changed_and_lowered(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    await make.credit(customer, "10")
    share = await make.project_credit(await make.project(customer), "60")
    url, staff = f"{URL}{share.uuid}/", await make.staff()
    for body in ({"grace_coefficient": "5"}, {"value": "50"}):
        answer = await client.patch(url, json=body, headers=staff.headers)
        assert answer.status_code == 200, answer.text


async def test_a_share_needs_a_credit_of_the_organization_and_keeps_its_project(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer, staff = await make.customer(), await make.staff()
    project = await make.project(customer)
    answer = await client.post(URL, json=body_of(project), headers=staff.headers)
    assert (answer.status_code, answer.json()) == (400, ["Customer credit does not exist."])
    await make.credit(customer)
    share = await make.project_credit(project)
    other = await make.project(customer)
    answer = await client.patch(f"{URL}{share.uuid}/", json=body_of(other), headers=staff.headers)
    assert (answer.status_code, list(answer.json())) == (400, ["project"])
    answer = await client.post(
        URL, json={"project": f"{BASE}/api/projects/{'1' * 32}/"}, headers=staff.headers
    )
    assert (answer.status_code, list(answer.json())) == (400, ["project"])


async def test_other_roles_are_refused(make: Factories, client: httpx.AsyncClient) -> None:
    customer = await make.customer()
    await make.credit(customer)
    project, empty = await make.project(customer), await make.project(customer)
    share = await make.project_credit(project, "1")
    manager, member = await make.user(), await make.user()
    await make.role(manager, customer, role=CustomerRoleName.MANAGER)
    await make.project_role(member, project)
    stranger = await make.owner(await make.customer())
    for user, status in (
        (await make.support(), 403),
        (manager, 403),
        (member, 403),
        (stranger, 404),
    ):
        answer = await client.post(URL, json=body_of(empty), headers=user.headers)
        assert answer.status_code == 403
        for method in ("PATCH", "PUT", "DELETE"):
            answer = await client.request(
                method, f"{URL}{share.uuid}/", json={"value": "x"}, headers=user.headers
            )
            assert answer.status_code == status, (method, user)


async def test_only_owners_and_staff_learn_that_a_body_is_invalid(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    manager, member = await make.user(), await make.user()
    await make.role(manager, customer, role=CustomerRoleName.MANAGER)
    await make.project_role(member, await make.project(customer))
    for user, status in (
        (await make.support(), 403),
        (await make.user(), 403),
        (manager, 403),
        (member, 403),
        (await make.owner(customer), 400),
        (await make.staff(), 400),
    ):
        answer = await client.post(URL, json={"value": "x"}, headers=user.headers)
        assert answer.status_code == status, answer.text


async def test_two_shares_at_once_do_not_exceed_the_credit(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer, staff = await make.customer(), await make.staff()
    await make.credit(customer, "100")
    projects = [await make.project(customer) for _ in range(4)]
    answers = await asyncio.gather(
        *(
            client.post(URL, json=body_of(project, value="40"), headers=staff.headers)
            for project in projects
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 201, 400, 400]
