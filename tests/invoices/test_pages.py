"""The pages of the list together are the whole list, whichever way each is found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api import pagination
from app.billing.enums import InvoiceState
from app.customers.models import Customer
from app.invoices.models import Invoice
from tests.support.factories import EARLY, Factories, Row, UserRow

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(4)]
SUMS = [Decimal(text) for text in ("-1", "0", "0.01", "10", "10.01", "99")]
ORDERS = ["created", "-created", "month", "-month", "year", "-year"]
UNIQUE = st.tuples(st.integers(0, 3), st.integers(2024, 2026), st.integers(1, 4))
INVOICES = st.lists(
    st.tuples(
        UNIQUE, st.sampled_from([*InvoiceState]), st.sampled_from(DAYS), st.sampled_from(SUMS)
    ),
    min_size=5,
    max_size=20,
    unique_by=lambda each: each[0],
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "state": st.lists(st.sampled_from([*InvoiceState]), min_size=1, max_size=3, unique=True),
    "year": st.integers(2023, 2026),
    "month": st.sampled_from([1, 2, 3, 13]),
    "created": st.sampled_from(DAYS),
    "start_date": st.sampled_from(DAYS),
    "end_date": st.sampled_from(DAYS),
    "min_sum": st.sampled_from(["-1.2", "0.012", "12", "12.005"]),
    "max_sum": st.sampled_from(["-1", "0", "12.012", "1e30"]),
    "accounting_is_running": st.booleans(),
    "customer_uuid": st.integers(0, 3),
}
ORDER = st.lists(st.sampled_from(ORDERS), max_size=3)


@dataclass(frozen=True)
class Listed:
    """An invoice as this test knows it."""

    number: int
    customer: int
    year: int
    month: int
    state: str
    created: date
    price: Decimal

    def matches(self, filters: dict[str, Any]) -> bool:
        """Return whether it fulfils every filter; each customer's tax is 20 percent."""
        total = self.price * 120 / 100
        found: dict[str, Callable[[Any], bool]] = {
            "state": lambda states: self.state in states,
            "year": lambda year: self.year == year,
            "month": lambda month: self.month == month,
            "created": lambda day: self.created == day,
            "start_date": lambda day: self.created > day,
            "end_date": lambda day: self.created < day,
            "min_sum": lambda sum_: total >= Decimal(sum_),
            "max_sum": lambda sum_: total <= Decimal(sum_),
            "accounting_is_running": lambda running: (self.customer != WAITING) is running,
            "customer_uuid": lambda customer: self.customer == customer,
        }
        return all(found[name](value) for name, value in filters.items())


OWN = (0, 1)
"""The customers of the owner; the others are 2 and 3."""
WAITING = 1
"""The customer whose accounting has not started."""


def ordered(invoices: Sequence[Listed], order: Sequence[str]) -> list[int]:
    """The numbers of invoices in the order asked for, and newest first where that is equal."""
    found = sorted(invoices, key=lambda each: (each.year, each.month, each.number), reverse=True)
    for word in reversed(order):
        name = word.removeprefix("-")
        # Sorting keeps the order of equals, also in reverse.
        found.sort(key=lambda each: getattr(each, name), reverse=word.startswith("-"))
    return [each.number for each in found]


@dataclass
class House:
    customers: list[Row]
    staff: UserRow
    owner: UserRow


@pytest.fixture
async def house(make: Factories) -> House:
    starts = [EARLY.replace(year=2999) if each == WAITING else EARLY for each in range(4)]
    customers = [await make.customer(accounting_start_date=start) for start in starts]
    owner = await make.user()
    for own in OWN:
        await make.role(owner, customers[own])
    return House(customers, await make.staff(), owner)


async def fill(connection: AsyncConnection, house: House, invoices: Sequence[Any]) -> list[Listed]:
    # Issued invoices refuse it, unless their triggers do not fire.
    await connection.execute(text("SET session_replication_role = replica"))
    for table in ("invoices", "invoice_tallies"):
        await connection.execute(text(f"DELETE FROM {table}"))
    await connection.execute(text("RESET session_replication_role"))
    rows = [
        {
            "uuid": UUID(int=each + 1),
            "customer_id": house.customers[customer].id,
            "year": year, "month": month, "state": state, "created": created,
            "tax_percent": Decimal(20), "total_price": price,
        }
        for each, ((customer, year, month), state, created, price) in enumerate(invoices)
    ]  # fmt: skip
    await connection.execute(insert(Invoice), rows)
    ids = [customer.id for customer in house.customers]
    columns = (
        Invoice.number, Customer.id, Invoice.year, Invoice.month, Invoice.state, Invoice.created,
        Invoice.total_price,
    )  # fmt: skip
    found = await connection.execute(select(*columns).join(Customer))
    return [Listed(row[0], ids.index(row[1]), *row[2:]) for row in found]


@pytest.mark.parametrize("name", [None, *VALUES])
@given(invoices=INVOICES, order=ORDER, size=st.integers(2, 9), data=st.data())
@settings(
    max_examples=6,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_pages_are_the_whole_list(
    *,
    client: httpx.AsyncClient,
    connection: AsyncConnection,
    house: House,
    invoices: Sequence[Any],
    name: str | None,
    order: list[str],
    size: int,
    data: st.DataObject,
) -> None:
    made = await fill(connection, house, invoices)
    names = {name, data.draw(st.none() | st.sampled_from([*VALUES]))} - {None}
    filters = {each: data.draw(VALUES[each]) for each in VALUES if each in names}
    query = dict(filters)
    if "customer_uuid" in query:
        query["customer_uuid"] = house.customers[query["customer_uuid"]].uuid
    if order:
        query["o"] = ",".join(order)
    fields = data.draw(st.sampled_from([("number",), ("number", "items"), ("number", "customer")]))
    query |= {"page_size": size, "field": fields}
    for user, customers in ((house.staff, range(4)), (house.owner, OWN)):
        expected = ordered(
            [each for each in made if each.customer in customers and each.matches(filters)], order
        )

        async def page(number: object, user: UserRow = user) -> httpx.Response:
            asked = urlencode(query | {"page": number}, doseq=True)
            return await client.get(f"/api/invoices/?{asked}", headers=user.headers)

        last = max(1, -(-len(expected) // size))
        ways = []
        for forward in (1000, data.draw(st.integers(0, 10))):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(pagination, "SHALLOW_OFFSET", forward)
                answers = [await page(number) for number in range(1, last + 1)]
                assert (await page(last + 1)).status_code == 404
                assert (await page("last")).content == answers[-1].content
            pages = [[row["number"] for row in answer.json()] for answer in answers]
            assert pages == [expected[at * size :][:size] for at in range(last)]
            assert {each.headers["x-result-count"] for each in answers} == {str(len(expected))}
            ways.append([(each.content, each.headers["etag"]) for each in answers])
        assert ways[0] == ways[1]
