"""A tiny data set has its shape, as the service sees it."""

import asyncpg  # type: ignore[import-untyped]  # it has no types
import httpx
import pytest
from sqlalchemy import make_url

from app import clock
from app.billing.periods import Period
from benchmarks.cases import (
    Case,
    Subjects,
    authorization,
    crediting_case,
    find_subjects,
    reading_cases,
)
from benchmarks.loading import footprint, load
from benchmarks.shape import MONTHS, OWNER_KEY, Shape

_SHAPE = Shape(55, twenties=2, canceled=1, dear=1, larges=2, large=30, huge=40)


@pytest.fixture
def plain_url(database_url: str) -> str:
    """The test's database as the driver itself takes its address."""
    url = make_url(database_url).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


@pytest.fixture
async def subjects(plain_url: str) -> Subjects:
    """The records that cases request in a database with the tiny data set."""
    connection = await asyncpg.connect(plain_url)
    try:
        await load(connection, _SHAPE, Period.containing(clock.now()))
    finally:
        await connection.close()
    return await find_subjects(plain_url, _SHAPE)


def _states(age: int) -> list[str]:
    return [_SHAPE.state(customer, age) for customer in _SHAPE.invoiced(age)]


async def _get(client: httpx.AsyncClient, cases: list[Case], name: str) -> httpx.Response:
    (case,) = [case for case in cases if case.name == name]
    request = case.requests[0]
    response = await client.request(request.method, request.path, headers=dict(request.headers))
    assert response.status_code == case.status, response.text
    return response


async def test_lists_counts_and_growth_are_as_the_shape_says(
    client: httpx.AsyncClient, subjects: Subjects
) -> None:
    cases = reading_cases(subjects, Period.containing(clock.now()))

    async def count(name: str) -> int:
        return int((await _get(client, cases, name)).headers["X-Result-Count"])

    assert await count("head-staff") == 55
    assert await count("head-owner") == 3 * MONTHS
    assert await count("list-customer") == MONTHS
    assert await count("list-state") == _SHAPE.canceled
    assert await count("list-min-sum") == _SHAPE.dear
    paid = [state for age in range(MONTHS) for state in _states(age) if state == "paid"]
    assert await count("payments") == len(paid)
    assert 0 < await count("payments-profile") <= MONTHS
    assert await count("invoice-items-customer") == 20 * MONTHS
    costs = (await _get(client, cases, "project-costs")).json()
    assert float(costs["total_price"]) > 0
    newest = (await _get(client, cases, "list")).json()
    assert [len(invoice["items"]) for invoice in newest[:5]] == [20, 20, 5, 5, 20]
    oldest = (await _get(client, cases, "list-last")).json()
    assert [len(invoice["items"]) for invoice in oldest[-2:]] == [20, 20]
    for name, items in (("items-20", 20), ("retrieve-500", 30)):
        answer = (await _get(client, cases, name)).json()
        assert len(answer if name.startswith("items") else answer["items"]) == items
    growth = (await _get(client, cases, "growth")).json()
    assert len(growth["periods"]) == MONTHS
    assert all(total > 0 for total in growth["total_periods"])


async def test_every_item_is_there_and_new_rows_can_follow(
    client: httpx.AsyncClient, plain_url: str, subjects: Subjects
) -> None:
    connection = await asyncpg.connect(plain_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM invoice_items") == _SHAPE.items
        last = await connection.fetchval("SELECT max(id) FROM invoice_items")
        following = "SELECT nextval(pg_get_serial_sequence('invoice_items', 'id'))"
        assert await connection.fetchval(following) == last + 1
        highest = await connection.fetchval("SELECT max(number) FROM invoices")
        assert await connection.fetchval("SELECT nextval('invoice_numbers')") == highest + 1
        taken = await footprint(connection)
    finally:
        await connection.close()
    assert min(taken.items, taken.invoices, taken.others, taken.record, taken.auxiliary) > 0
    huge = await client.get(
        f"/api/invoices/{subjects.huge}/items/", headers=authorization("benchmark-staff")
    )
    assert len(huge.json()) == _SHAPE.huge
    hidden = await client.get(f"/api/invoices/{subjects.huge}/", headers=authorization(OWNER_KEY))
    assert hidden.status_code == 404


def test_a_shape_that_cannot_hold_its_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        Shape(1_000)


async def test_each_credit_is_possible_again_and_again(
    client: httpx.AsyncClient, subjects: Subjects
) -> None:
    case = crediting_case(subjects)
    assert case.requests
    for request in (*case.requests, *case.requests[:3]):
        response = await client.post(
            request.path, headers=dict(request.headers), content=request.body
        )
        assert response.status_code == case.status, response.text
