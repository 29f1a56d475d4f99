"""Staff create, change, adjust and delete the credits of organizations."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.credits.models import CreditTransaction, ProjectCredit
from app.invoices.models import InvoiceItem
from tests.support.clients import BASE
from tests.support.factories import Factories, Row, UserRow

URL = "/api/customer-credits/"


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 5, tzinfo=UTC))


@pytest.fixture
async def staff(make: Factories) -> UserRow:
    return await make.staff()


def customer_url(customer: Row) -> str:
    return f"{BASE}/api/customers/{customer.uuid.hex}/"


async def ledger(connection: AsyncConnection) -> list[tuple[str, Decimal]]:
    statement = select(CreditTransaction.transaction_type, CreditTransaction.amount)
    rows = await connection.execute(statement.order_by(CreditTransaction.id))
    return [(row[0], row[1]) for row in rows]


async def test_a_credit_is_created_and_its_value_is_in_the_ledger(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    customer, offering = await make.customer(), await make.offering()
    link = f"{BASE}/api/marketplace-provider-offerings/{offering.uuid}/"
    answer = await client.post(
        URL,
        json={
            "customer": customer_url(customer),
            "value": "100.5",
            "end_date": "2027-06-01",
            "expected_consumption": "10",
            "grace_coefficient": 20,
            "offerings": [link, link],
        },
        headers=staff.headers,
    )
    assert answer.status_code == 201, answer.text
    body = answer.json()
    shown = {
        "value": "100.50000",
        "customer_uuid": str(customer.uuid),
        "offerings": [link],
        "end_date": "2027-06-01",
        "expected_consumption": "10.00000",
        "minimal_consumption": 8.0,
        "minimal_consumption_logic": "fixed",
        "grace_coefficient": "20",
        "apply_as_minimal_consumption": True,
    }
    assert {name: body[name] for name in shown} == shown
    assert await ledger(connection) == [("staff_grant", Decimal("100.5"))]


async def test_a_linear_credit_is_spread_over_the_months_until_its_end(
    make: Factories, client: httpx.AsyncClient, staff: UserRow
) -> None:
    body = {
        "customer": customer_url(await make.customer()),
        "value": "61",
        "end_date": "2027-01-01",
        "minimal_consumption_logic": "linear",
    }
    answer = await client.post(URL, json=body, headers=staff.headers)
    assert answer.json()["expected_consumption"] == "30.00000"
    url = f"{URL}{answer.json()['uuid']}/"
    changed = await client.patch(url, json={"value": "122"}, headers=staff.headers)
    assert changed.json()["expected_consumption"] == "60.00000"


@pytest.mark.parametrize(
    ("values", "errors"),
    [
        ({"value": "-1"}, {"value": ["Ensure this value is greater than or equal to 0."]}),
        ({"grace_coefficient": "101"}, "grace_coefficient"),
        ({"end_date": "2026-11-05"}, "end_date"),
        ({"end_date": "2027-01-02"}, "end_date"),
        ({"expected_consumption": "50"}, "non_field_errors"),
        ({"minimal_consumption_logic": "linear"}, "non_field_errors"),
        ({"minimal_consumption_logic": "linear", "end_date": "2026-12-01"}, None),
        ({"minimal_consumption_logic": "other"}, "minimal_consumption_logic"),
        (
            {"offerings": [f"{BASE}/api/marketplace-provider-offerings/{'1' * 32}/"]},
            {"offerings": ["Invalid hyperlink - Object does not exist."]},
        ),
        ({"customer": f"{BASE}/api/customers/{'1' * 32}/"}, "customer"),
        ({"value": "123456789012"}, "value"),
    ],
)
async def test_a_broken_rule_is_refused(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, values: Any, errors: Any
) -> None:
    body = {"customer": customer_url(await make.customer()), "value": "50", **values}
    answer = await client.post(URL, json=body, headers=staff.headers)
    assert answer.status_code == (400 if errors else 201), answer.text
    if isinstance(errors, str):
        assert list(answer.json()) == [errors]
    elif errors:
        assert answer.json() == errors


async def test_a_customer_has_one_credit(
    make: Factories, client: httpx.AsyncClient, staff: UserRow
) -> None:
    customer = await make.customer()
    await make.credit(customer)
    answer = await client.post(
        URL, json={"customer": customer_url(customer)}, headers=staff.headers
    )
    assert answer.status_code == 400
    assert answer.json() == {"customer": ["customer credit with this customer already exists."]}


async def test_a_change_of_the_value_is_a_movement_and_covers_the_projects(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "100")
    await make.project_credit(await make.project(customer), "40")
    url = f"{URL}{credit.uuid}/"
    answer = await client.patch(url, json={"value": "60"}, headers=staff.headers)
    assert answer.json()["value"] == "60.00000"
    refused = await client.patch(url, json={"value": "39.99999"}, headers=staff.headers)
    assert refused.status_code == 400
    assert refused.json() == [
        "The sum of project credits cannot exceed the credit for organization."
    ]
    put = await client.put(url, json={"customer": customer_url(customer)}, headers=staff.headers)
    assert put.json()["value"] == "60.00000"
    assert await ledger(connection) == [("staff_grant", Decimal(-40))]


async def test_a_credit_moves_to_another_organization_with_its_balance(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    credit, other = await make.credit(await make.customer(), "7"), await make.customer()
    answer = await client.patch(
        f"{URL}{credit.uuid}/", json={"customer": customer_url(other)}, headers=staff.headers
    )
    assert (answer.json()["customer_uuid"], answer.json()["value"]) == (str(other.uuid), "7.00000")
    assert await ledger(connection) == [("adjustment", Decimal(-7)), ("adjustment", Decimal(7))]


async def test_a_credit_that_pays_an_invoice_which_is_not_issued_keeps_its_organization(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    customer, other = await make.customer(), await make.customer()
    credit = await make.credit(customer, "15")
    await make.item(await make.invoice(customer, Period(2026, 11)), "20")
    url = f"{URL}{credit.uuid}/"

    async def move() -> int:
        body = {"customer": customer_url(other)}
        return (await client.patch(url, json=body, headers=staff.headers)).status_code

    await client.post(f"{url}apply_compensations/", headers=staff.headers)
    assert await move() == 409
    await client.post(f"{url}clear_compensations/", headers=staff.headers)
    assert await move() == 200


async def test_a_balance_has_eleven_digits_before_the_point(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    credit = await make.credit(await make.customer(), "99999999999.99999")
    answer = await client.post(
        f"{URL}{credit.uuid}/adjust_withdrawable/",
        json={"amount": "0.00001", "comment": "Bonus"},
        headers=staff.headers,
    )
    assert answer.status_code == 400
    assert answer.json() == ["The value of a credit must be less than 100000000000."]
    assert await ledger(connection) == []


async def test_only_the_earned_part_can_be_withdrawn(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    credit = await make.credit(await make.customer(), "100")
    url = f"{URL}{credit.uuid}/adjust_withdrawable/"

    async def adjust(amount: str, comment: str = "Bonus") -> httpx.Response:
        body = {"amount": amount, "comment": comment}
        return await client.post(url, json=body, headers=staff.headers)

    assert (await adjust("5")).json()["withdrawable_balance"] == 5.0
    for amount, comment in (("0", "x"), ("1", " "), ("-5.00001", "x")):
        assert (await adjust(amount, comment)).status_code == 400
    answer = (await adjust("-5")).json()
    assert (answer["value"], answer["withdrawable_balance"]) == ("100.00000", 0.0)
    assert await ledger(connection) == [
        ("withdrawable_adjustment", Decimal(5)),
        ("withdrawable_adjustment", Decimal(-5)),
    ]


async def test_compensations_are_applied_and_cleared_by_hand(
    make: Factories, client: httpx.AsyncClient, staff: UserRow
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "100")
    older = await make.invoice(customer, Period(2026, 10))
    await make.item(older, "1")
    await make.item(await make.invoice(customer, Period(2026, 11)), "10")

    async def act(name: str) -> str:
        answer = await client.post(f"{URL}{credit.uuid}/{name}/", headers=staff.headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["value"])

    assert [await act("apply_compensations") for _ in range(2)] == ["90.00000", "90.00000"]
    assert [await act("clear_compensations") for _ in range(2)] == ["100.00000", "100.00000"]


async def test_a_deleted_credit_leaves_the_compensations_of_issued_invoices(
    make: Factories, client: httpx.AsyncClient, staff: UserRow, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer, "100")
    share = await make.project_credit(await make.project(customer), "1")
    issued = await make.invoice(customer, Period(2026, 9), InvoiceState.CREATED)
    await make.item(issued, "-4", credit=True, customer_credit_id=credit.id)
    pending = await make.invoice(customer, Period(2026, 11))
    await make.item(pending, "10")
    url = f"{URL}{credit.uuid}/"
    await client.post(f"{url}apply_compensations/", headers=staff.headers)
    refused = await client.delete(url, headers=staff.headers)
    assert refused.status_code == 409
    spent = update(ProjectCredit).where(ProjectCredit.id == share.id).values(value=0)
    await connection.execute(spent)
    assert (await client.delete(url, headers=staff.headers)).status_code == 204
    rows = await connection.execute(
        select(InvoiceItem.price, InvoiceItem.credit, InvoiceItem.customer_credit_id).order_by(
            InvoiceItem.id
        )
    )
    assert [tuple(row) for row in rows] == [
        (Decimal(-4), True, None),
        (Decimal(10), False, None),
    ]
    assert (await ledger(connection))[-1] == ("adjustment", Decimal(-100))
    assert (await connection.execute(select(ProjectCredit.id))).all() == []


@pytest.mark.parametrize("role", ["owner", "support"])
async def test_only_staff_change_customer_credits(
    make: Factories, client: httpx.AsyncClient, role: str
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    user = await make.owner(customer) if role == "owner" else await make.support()
    url = f"{URL}{credit.uuid}/"
    for method, path in (
        ("POST", URL),
        ("PUT", url),
        ("PATCH", url),
        ("DELETE", url),
        *(
            ("POST", f"{url}{name}/")
            for name in ("apply_compensations", "clear_compensations", "adjust_withdrawable")
        ),
    ):
        answer = await client.request(method, path, json={}, headers=user.headers)
        assert answer.status_code == 403, (method, path)
