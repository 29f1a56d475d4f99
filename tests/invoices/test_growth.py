"""How monthly sums grew over a year."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import httpx
import pytest

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.invoices.jobs.summaries import advance_year_totals
from tests.support.factories import Factories, Row

URL = "/api/invoices/growth/"
MONTHS = [f"2025-{m}" for m in (11, 12)] + [f"2026-{m}" for m in range(1, 12)]


@dataclass
class Night:
    """Before a day's first request, a worker may bring the sums forward."""

    database: Database
    brings_forward: bool

    async def passes(self) -> None:
        if self.brings_forward:
            await advance_year_totals(self.database)


@pytest.fixture(params=[True, False], ids=["kept", "not-kept"])
def night(request: pytest.FixtureRequest, database: Database) -> Night:
    return Night(database, request.param)


@pytest.fixture(autouse=True)
def _today() -> None:
    clock.freeze(datetime(2026, 11, 23, 12, tzinfo=UTC))


def months(**amounts: float) -> list[float]:
    """Return thirteen sums, of which those named like `m2026_1` are not zero."""
    named = {name.removeprefix("m").replace("_", "-"): value for name, value in amounts.items()}
    return [named.get(month, 0.0) for month in MONTHS]


async def bill(
    make: Factories, customer: Row, period: Period, price: str, *,
    state: InvoiceState = InvoiceState.CREATED, created: date | None = None,
) -> None:  # fmt: skip
    created = created or period.first_day
    invoice = await make.invoice(customer, period, state, created=created)
    await make.item(invoice, price)


async def test_majors_and_others(
    make: Factories, client: httpx.AsyncClient, statements: list[str], night: Night
) -> None:
    large, small, tiny = [await make.customer(name=name) for name in ("b", "a", "Ö")]
    await bill(make, large, Period(2026, 10), "1000.005")
    await bill(make, large, Period(2026, 11), "10", state=InvoiceState.CANCELED)
    await bill(make, large, Period(2025, 10), "77777")  # before the first month
    await bill(make, small, Period(2026, 10), "100")
    await bill(make, tiny, Period(2026, 10), "0.001")
    await bill(make, tiny, Period(2025, 11), "-3")
    headers = (await make.staff()).headers
    await night.passes()
    # The caller, and the sums: from those stored for this day, else from the invoices.
    expected = 2 if night.brings_forward else 3
    statements.clear()
    answer = await client.get(URL, headers=headers, params={"customers_count": "2"})
    assert len(statements) == expected
    assert list(answer.json()) == ["periods", "total_periods", "other_periods", "customer_periods"]
    assert answer.headers["x-result-count"] == "2"
    assert answer.json() == {
        "periods": MONTHS,
        "total_periods": months(m2025_11=-3.6, m2026_10=1320.02, m2026_11=12.0),
        "other_periods": months(m2025_11=-3.6, m2026_10=0.01),
        "customer_periods": [
            {"name": "a", "periods": months(m2026_10=120.0)},
            {"name": "b", "periods": months(m2026_10=1200.01, m2026_11=12.0)},
        ],
    }
    answer = await client.get(
        URL, headers=headers, params={"accounting_mode": "accounting", "customers_count": "1"}
    )
    assert answer.json()["customer_periods"] == [
        {"name": "b", "periods": months(m2026_10=1000.01, m2026_11=10.0)}
    ]
    assert answer.json()["other_periods"] == months(m2025_11=-3.0, m2026_10=100.01)
    for count, names in {"3": ["a", "b", "Ö"], "0": [], "20": ["a", "b", "Ö"]}.items():
        answer = await client.get(URL, headers=headers, params={"customers_count": count})
        assert [row["name"] for row in answer.json()["customer_periods"]] == names
        head = await client.head(URL, headers=headers, params={"customers_count": count})
        assert head.headers["x-result-count"] == str(len(names))
        assert head.content == b""


async def test_customers_are_major_by_their_invoices_created_within_a_year(
    make: Factories, client: httpx.AsyncClient, night: Night
) -> None:
    inside, outside = await make.customer(name="inside"), await make.customer(name="outside")
    await bill(make, inside, Period(2026, 5), "1", created=date(2025, 11, 23))
    await bill(make, outside, Period(2026, 5), "9", created=date(2025, 11, 22))
    await night.passes()
    answer = await client.get(URL, headers=(await make.staff()).headers)
    body = answer.json()
    assert [row["name"] for row in body["customer_periods"]] == ["inside"]
    assert body["other_periods"] == months(m2026_5=10.8)
    assert body["total_periods"] == months(m2026_5=12.0)


async def test_without_any_invoice(make: Factories, client: httpx.AsyncClient) -> None:
    answer = await client.get(URL, headers=(await make.user()).headers)
    assert answer.json() == {
        "periods": MONTHS,
        "total_periods": months(),
        "other_periods": months(),
        "customer_periods": [],
    }


async def test_others_see_the_growth_of_their_own(
    make: Factories, client: httpx.AsyncClient
) -> None:
    mine, theirs = await make.customer(name="mine"), await make.customer(name="theirs")
    await bill(make, mine, Period(2026, 5), "1")
    await bill(make, theirs, Period(2026, 5), "2")
    answer = await client.get(URL, headers=(await make.owner(mine)).headers)
    assert answer.json()["total_periods"] == months(m2026_5=1.2)
    answer = await client.get(URL, headers=(await make.support()).headers)
    assert answer.json()["total_periods"] == months(m2026_5=3.6)


async def test_customers_whose_accounting_runs(
    make: Factories, client: httpx.AsyncClient, night: Night
) -> None:
    running = await make.customer(
        name="running", accounting_start_date=datetime(2026, 11, 23, 12, tzinfo=UTC)
    )
    waiting = await make.customer(
        name="waiting", accounting_start_date=datetime(2026, 11, 23, 13, tzinfo=UTC)
    )
    await bill(make, running, Period(2026, 5), "1")
    await bill(make, waiting, Period(2026, 5), "2")
    headers = (await make.staff()).headers
    await night.passes()
    for value, total in {"true": 1.2, "false": 2.4, "": 3.6}.items():
        answer = await client.get(URL, headers=headers, params={"accounting_is_running": value})
        assert answer.json()["total_periods"] == months(m2026_5=total)
        assert answer.json()["other_periods"] == months()


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("customers_count=x", ["customers_count is not a number"]),
        ("customers_count=", ["customers_count is not a number"]),
        ("customers_count=4&customers_count=", ["customers_count is not a number"]),
        ("customers_count=%20", ["customers_count is not a number"]),
        ("customers_count=4.0", ["customers_count is not a number"]),
        ("customers_count=\u0664", ["customers_count is not a number"]),
        ("customers_count=21", ["customers_count should not be greater than 20"]),
        (f"customers_count={'0' * 20}21", ["customers_count should not be greater than 20"]),
        (f"customers_count={'9' * 5000}", ["customers_count should not be greater than 20"]),
        ("customers_count=-1", ["customers_count should not be less than 0"]),
        ("accounting_is_running=x", {"accounting_is_running": ["Must be a valid boolean."]}),
        ("accounting_mode=%00", {"accounting_mode": ["Null characters are not allowed."]}),
    ],
)
async def test_wrong_parameters(
    query: str, body: object, make: Factories, client: httpx.AsyncClient
) -> None:
    headers = (await make.staff()).headers
    answer = await client.get(f"{URL}?{query}", headers=headers)
    assert (answer.status_code, answer.json()) == (400, body)
    assert (await client.head(f"{URL}?{query}", headers=headers)).status_code == 400


async def test_a_leap_day_looks_back_a_year(
    make: Factories, client: httpx.AsyncClient, night: Night
) -> None:
    clock.freeze(datetime(2028, 2, 29, tzinfo=UTC))
    customer = await make.customer()
    await bill(make, customer, Period(2027, 2), "1", created=date(2027, 2, 28))
    await night.passes()
    body = (await client.get(URL, headers=(await make.staff()).headers)).json()
    assert (body["periods"][0], body["periods"][-1]) == ("2027-2", "2028-2")
    assert body["customer_periods"][0]["periods"][0] == 1.2


async def test_sums_are_exact(make: Factories, client: httpx.AsyncClient) -> None:
    for _ in range(10):
        customer = await make.customer(default_tax_percent=Decimal(0))
        invoice = await make.invoice(customer, Period(2026, 5), tax_percent=Decimal(0))
        await make.item(invoice, "0.1")
    body = (await client.get(URL, headers=(await make.staff()).headers)).json()
    assert body["total_periods"] == months(m2026_5=1.0)  # floats would add up to 0.9999999999999999
