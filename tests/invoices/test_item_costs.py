"""Sums of items: the total price, the costs by month, and the costs over a span of months."""

from datetime import UTC, datetime

import httpx
import pytest

from app import clock
from app.billing.periods import Period
from tests.support.factories import Factories, Row, UserRow

URL = "/api/invoice-items"
NOVEMBER = Period(2026, 11)


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 23, tzinfo=UTC))


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer()


@pytest.fixture
async def project(make: Factories, customer: Row) -> Row:
    """A project with items in several months, of which 2025-11 is the oldest within a year."""
    project = await make.project(customer)
    for months, prices in ((0, ("10.001", "-2", "0")), (1, ("5",)), (11, ("3",)), (12, ("100",))):
        invoice = await make.invoice(customer, NOVEMBER.shifted(-months))
        for price in prices:
            await make.item(invoice, price, project_id=project.id, name=f"Item of {price}")
        await make.item(invoice, "1000")  # of no project
    return project


async def test_the_total_price_is_exact(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, project: Row
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, "0.0000000001", quantity="0.5")
    url = f"{URL}/total_price/"
    answer = await client.get(url, headers=staff.headers)
    assert answer.json() == {"total_price": "4116.0010000000"}
    answer = await client.get(f"{url}?project_uuid={project.uuid}", headers=staff.headers)
    assert answer.json() == {"total_price": "116.0010000000"}
    assert answer.headers["x-result-count"] == "6"
    head = await client.head(f"{url}?year=1999", headers=staff.headers)
    assert (head.status_code, head.headers["x-result-count"]) == (200, "0")
    stranger = await make.user()
    answer = await client.get(url, headers=stranger.headers)
    assert answer.json() == {"total_price": "0.0000000000"}


async def test_the_costs_by_month_are_numbers_and_add_up_to_the_prices(
    client: httpx.AsyncClient, staff: UserRow, project: Row
) -> None:
    answer = await client.get(f"{URL}/costs/?project_uuid={project.uuid}", headers=staff.headers)
    november, *others = answer.json()
    (item,) = november.pop("items")
    assert november == {
        "price": 8.01,
        "compensation": -2.0,
        "incurred": 10.01,
        "year": 2026,
        "month": 11,
    }
    assert item == {
        "name": "Item of 10.001",
        "unit_price": "10.0010000000",
        "unit": "quantity",
        "quantity": "1.0000000000",
        "measured_unit": "",
        "price": 10.01,
    }
    assert [(each["year"], each["month"], each["price"]) for each in others] == [
        (2026, 10, 5.0),
        (2025, 12, 3.0),
        (2025, 11, 100.0),
    ]
    assert not any("items" in each for each in others)
    assert answer.headers["x-result-count"] == "4"


async def test_costs_need_a_project(client: httpx.AsyncClient, staff: UserRow) -> None:
    for query, message in (("", "This field is required."), ("x", "Enter a valid UUID.")):
        url = f"{URL}/costs/" + (f"?project_uuid={query}" if query else "")
        answer = await client.get(url, headers=staff.headers)
        assert (answer.status_code, answer.json()) == (400, {"project_uuid": [message]})


async def test_costs_take_both_forms_of_a_uuid(
    client: httpx.AsyncClient, staff: UserRow, project: Row
) -> None:
    for form in (project.uuid.hex, str(project.uuid).upper()):
        answer = await client.get(f"{URL}/costs/?project_uuid={form}", headers=staff.headers)
        assert len(answer.json()) == 4


async def test_costs_count_the_items_that_the_caller_may_see(
    make: Factories, client: httpx.AsyncClient, customer: Row, project: Row
) -> None:
    url = f"{URL}/costs/?project_uuid={project.uuid}"
    for user in (await make.member(project), await make.owner(customer)):
        assert len((await client.get(url, headers=user.headers)).json()) == 4
    assert (await client.get(url, headers=(await make.user()).headers)).json() == []


@pytest.mark.parametrize(
    ("period", "total", "start", "end"),
    [
        (2, "8.01", "2026-11-01", "2026-11-30"),
        (3, "13.01", "2026-09-01", "2026-11-30"),
        (4, "16.01", "2025-12-01", "2026-11-30"),
        (1, "116.01", "2025-11-01", "2026-11-30"),
        (None, "116.01", "2025-11-01", "2026-11-30"),
    ],
)
async def test_a_span_names_the_months_that_it_sums(  # noqa: PLR0917 - pytest's fixtures
    period: int | None,
    total: str,
    start: str,
    end: str,
    client: httpx.AsyncClient,
    staff: UserRow,
    project: Row,
) -> None:
    query = f"project_uuid={project.uuid}" + (f"&period={period}" if period else "")
    answer = await client.get(f"{URL}/project_costs_for_period/?{query}", headers=staff.headers)
    assert answer.json() == {"total_price": total, "start_date": start, "end_date": end}


async def test_the_costs_of_a_customer_include_items_without_a_project(
    client: httpx.AsyncClient, staff: UserRow, customer: Row, project: Row
) -> None:
    url = f"{URL}/customer_costs_for_period/?customer_uuid={customer.uuid}&period=4"
    answer = await client.get(url, headers=staff.headers)
    assert answer.json() == {
        "total_price": "3016.01",
        "start_date": "2025-12-01",
        "end_date": "2026-11-30",
    }
    assert (await client.head(url, headers=staff.headers)).headers["x-result-count"] == "1"


async def test_the_costs_of_a_project_may_be_those_of_one_resource(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, customer: Row
) -> None:
    project = await make.project(customer)
    resource = await make.resource(project, await make.offering())
    invoice = await make.invoice(customer, NOVEMBER)
    await make.item(invoice, "4", project_id=project.id, resource_id=resource.id)
    await make.item(invoice, "5", project_id=project.id)
    url = f"{URL}/project_costs_for_period/?project_uuid={project.uuid}&resource_uuid="
    for uuid, total in ((resource.uuid, "4.00"), (project.uuid, "0.00")):
        answer = await client.get(f"{url}{uuid}", headers=staff.headers)
        assert answer.json()["total_price"] == total


async def test_the_costs_of_nothing_are_those_of_the_running_month(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, customer: Row
) -> None:
    project = await make.project(customer)
    url = f"{URL}/project_costs_for_period/?project_uuid={project.uuid}"
    answer = await client.get(url, headers=staff.headers)
    assert answer.json() == {
        "total_price": "0.00",
        "start_date": "2026-11-01",
        "end_date": "2026-11-30",
    }


@pytest.mark.parametrize("period", ["0", "5", "12", "x", "1.5"])
async def test_a_span_has_one_of_the_codes(
    period: str, client: httpx.AsyncClient, staff: UserRow, project: Row
) -> None:
    url = f"{URL}/project_costs_for_period/?project_uuid={project.uuid}&period={period}"
    answer = await client.get(url, headers=staff.headers)
    message = f"Select a valid choice. {period} is not one of the available choices."
    assert (answer.status_code, answer.json()) == (400, {"period": [message]})


async def test_costs_are_of_visible_customers_and_projects(
    make: Factories, client: httpx.AsyncClient, customer: Row, project: Row
) -> None:
    of_project = f"{URL}/project_costs_for_period/?project_uuid={project.uuid}"
    of_customer = f"{URL}/customer_costs_for_period/?customer_uuid={customer.uuid}"
    member, owner, stranger = (
        await make.member(project), await make.owner(customer), await make.user(),
    )  # fmt: skip
    statuses = {
        (user, url): (await client.get(url, headers=user.headers)).status_code
        for user in (member, owner, stranger)
        for url in (of_project, of_customer)
    }
    assert list(statuses.values()) == [200, 404, 200, 200, 404, 404]


async def test_sums_take_few_statements(
    client: httpx.AsyncClient,
    staff: UserRow,
    customer: Row,
    project: Row,
    statements: list[str],
) -> None:
    most = {"total_price/?": 1, f"costs/?project_uuid={project.uuid}": 2,
            f"project_costs_for_period/?project_uuid={project.uuid}": 1,
            f"customer_costs_for_period/?customer_uuid={customer.uuid}": 1}  # fmt: skip
    await client.get(f"{URL}/total_price/", headers=staff.headers)  # the token is known by now
    for query, number in most.items():
        statements.clear()
        await client.get(f"{URL}/{query}", headers=staff.headers)
        assert len([each for each in statements if each.startswith("SELECT")]) == number, query
