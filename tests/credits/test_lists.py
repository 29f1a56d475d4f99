"""The lists of credits and of their ledger: fields, filters, orders, access."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app import clock
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from tests.support.clients import BASE
from tests.support.factories import Factories

CREDITS = "/api/customer-credits/"
SHARES = "/api/project-credits/"
LEDGER = "/api/credit-transactions/"


@pytest.fixture(autouse=True)
def _in_november() -> None:
    clock.freeze(datetime(2026, 11, 5, tzinfo=UTC))


@pytest.fixture
async def rows(client: httpx.AsyncClient, make: Factories) -> Any:
    staff = await make.staff()

    async def find(url: str, headers: dict[str, str] = staff.headers) -> Any:
        answer = await client.get(url, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return find


async def test_a_customer_credit_shows_its_offerings_and_figures(
    make: Factories, rows: Any
) -> None:
    customer = await make.customer(name="Example", slug="example")
    credit = await make.credit(
        customer,
        "100.5",
        end_date=date(2027, 1, 1),
        expected_consumption=Decimal("10"),
        grace_coefficient=Decimal(25),
    )
    offering = await make.offering(name="Cloud", type="Basic")
    await make.credit_offering(credit, offering)
    await make.project_credit(await make.project(customer), "40")
    await make.credit_transaction(
        customer_credit_uuid=credit.uuid, amount=Decimal(3), transaction_type="affiliate_fee"
    )
    await make.credit_transaction(customer_credit_uuid=credit.uuid, amount=Decimal(50))
    invoice = await make.invoice(customer, Period(2026, 10))
    await make.item(invoice, "-7.5", credit=True, customer_credit_id=credit.id)
    assert await rows(f"{CREDITS}{credit.uuid}/") == {
        "uuid": str(credit.uuid),
        "url": f"{BASE}/api/customer-credits/{credit.uuid}/",
        "value": "100.50000",
        "customer": f"{BASE}/api/customers/{customer.uuid}/",
        "customer_name": "Example",
        "customer_uuid": str(customer.uuid),
        "customer_slug": "example",
        "offerings": [
            {
                "uuid": str(offering.uuid),
                "url": f"{BASE}/api/marketplace-provider-offerings/{offering.uuid}/",
                "type": "Basic",
                "name": "Cloud",
            }
        ],
        "end_date": "2027-01-01",
        "expected_consumption": "10.00000",
        "minimal_consumption": 7.5,
        "minimal_consumption_logic": "fixed",
        "grace_coefficient": "25",
        "apply_as_minimal_consumption": True,
        "allocated_to_projects": 40.0,
        "consumption_last_month": 7.5,
        "withdrawable_balance": 3.0,
    }
    assert await rows(f"{CREDITS}{credit.uuid}/consumptions/") == [
        {"date": "2026-10-01", "price": "7.50"}
    ]


async def test_a_canceled_invoice_is_no_consumption(make: Factories, rows: Any) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    project = await make.project(customer)
    await make.project_credit(project)
    for month in (10, 11):
        invoice = await make.invoice(customer, Period(2026, month), InvoiceState.CANCELED)
        await make.item(invoice, "5", project_id=project.id)
        await make.item(
            invoice, "-5", project_id=project.id, credit=True, customer_credit_id=credit.id
        )
    (shown,) = await rows(CREDITS)
    assert shown["consumption_last_month"] == 0
    assert await rows(f"{CREDITS}{credit.uuid}/consumptions/") == []
    (share,) = await rows("/api/project-credits/")
    assert share["consumption_last_month"] == 0
    assert share["creditable_cost_this_month"] == "0.00000"


async def test_consumption_is_of_a_credit_that_matches_the_filters(
    make: Factories, client: httpx.AsyncClient, rows: Any
) -> None:
    customer = await make.customer(name="Example", slug="example")
    credit = await make.credit(customer)
    for month in (9, 10):
        invoice = await make.invoice(customer, Period(2026, month))
        await make.item(invoice, "-5", credit=True, customer_credit_id=credit.id)
    url = f"{CREDITS}{credit.uuid}/consumptions/"
    uuid = customer.uuid.hex
    for query in ("customer_name=AMP", "customer_slug=example", f"customer_uuid={uuid}"):
        months = [row["date"] for row in await rows(f"{url}?{query}&query={uuid}&o=-value")]
        assert months == ["2026-09-01", "2026-10-01"], query
    staff = await make.staff()
    for query in ("customer_name=else", "customer_slug=exam", "query=else"):
        assert (await client.get(f"{url}?{query}", headers=staff.headers)).status_code == 404
    answer = await client.get(f"{url}?customer_uuid=1", headers=staff.headers)
    assert (answer.status_code, list(answer.json())) == (400, ["customer_uuid"])


async def test_consumption_of_last_month_is_exact_and_by_month_as_invoiced(
    make: Factories, rows: Any
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    project = await make.project(customer)
    await make.project_credit(project)
    invoice = await make.invoice(customer, Period(2026, 10))
    await make.item(
        invoice, "-13.595", project_id=project.id, credit=True, customer_credit_id=credit.id
    )
    for url in (CREDITS, SHARES):
        (shown,) = await rows(url)
        assert shown["consumption_last_month"] == 13.595
    (month,) = await rows(f"{CREDITS}{credit.uuid}/consumptions/")
    assert month["price"] == "13.60"


async def test_a_credit_without_an_invoice_of_last_month_has_no_consumption(
    make: Factories, rows: Any
) -> None:
    await make.credit(await make.customer())
    (row,) = await rows(CREDITS)
    assert (row["consumption_last_month"], row["offerings"]) == (None, [])


async def test_customer_credits_are_filtered_and_ordered(make: Factories, rows: Any) -> None:
    first = await make.customer(name="Alpha", slug="al-pha")
    second = await make.customer(name="Beta", slug="be-ta")
    await make.credit(first, "5")
    await make.credit(second, "50", end_date=date(2027, 1, 1))
    for query, names in {
        "customer_name=LPH": ["Alpha"],
        "customer_slug=be-ta": ["Beta"],
        f"customer_uuid={first.uuid.hex}": ["Alpha"],
        "query=al-": ["Alpha"],
        f"query={second.uuid.hex}": ["Beta"],
        f"query={second.uuid}": ["Beta"],
        "o=-value": ["Beta", "Alpha"],
        "o=end_date": ["Beta", "Alpha"],
        "o=-end_date": ["Beta", "Alpha"],
        "o=customer_name,value": ["Alpha", "Beta"],
    }.items():
        assert [row["customer_name"] for row in await rows(f"{CREDITS}?{query}")] == names, query


async def test_a_customer_credit_is_shown_to_those_with_a_role_at_the_customer(
    make: Factories, client: httpx.AsyncClient, rows: Any
) -> None:
    customer = await make.customer()
    credit = await make.credit(customer)
    member = await make.user()
    await make.project_role(member, await make.project(customer))
    owner, support, stranger = await make.owner(customer), await make.support(), await make.user()
    for user, count in ((owner, 1), (support, 1), (stranger, 0), (member, 0)):
        assert len(await rows(CREDITS, user.headers)) == count
        for path in (f"{CREDITS}{credit.uuid}/", f"{CREDITS}{credit.uuid}/consumptions/"):
            answer = await client.get(path, headers=user.headers)
            assert answer.status_code == (200 if count else 404)
    assert (await client.get(CREDITS)).status_code == 401


async def test_a_project_credit_hides_the_organization_from_project_roles(
    make: Factories, client: httpx.AsyncClient, rows: Any
) -> None:
    customer = await make.customer(name="Example")
    credit = await make.credit(customer, "30")
    cloud = await make.offering()
    await make.credit_offering(credit, cloud)
    project, other = await make.project(customer, name="Search"), await make.project(customer)
    share = await make.project_credit(project, "40")
    await make.project_credit(other, "1")
    member = await make.user()
    await make.project_role(member, project)
    running = await make.invoice(customer, Period(2026, 11))
    await make.item(running, "8", project_id=project.id, offering_id=cloud.id)
    await make.item(running, "16", project_id=project.id)
    (row,) = await rows(SHARES, member.headers)
    shown = {
        "uuid": str(share.uuid),
        "project_name": "Search",
        "value": "40.00000",
        "spendable_value": "30.00000",
        "is_limited_by_organization_credit": True,
        "creditable_cost_this_month": "8.00000",
        "consumption_last_month": None,
        "customer_credit": None,
        "allocated_customer_credit": None,
        "offerings": [],
    }
    assert {name: row[name] for name in shown} == shown
    owner = await make.owner(customer)
    first, _ = await rows(f"{SHARES}?o=-value", owner.headers)
    assert first["customer_credit"] == "30.00000"
    assert first["allocated_customer_credit"] == "41.00000"
    assert [each["uuid"] for each in first["offerings"]] == [str(cloud.uuid)]
    assert len(await rows(f"{SHARES}?project_name=sear&customer_uuid={customer.uuid}")) == 1
    assert len(await rows(f"{SHARES}?query=exam")) == 2
    assert await rows(SHARES, (await make.user()).headers) == []
    answer = await client.get(f"{SHARES}{share.uuid}/", headers=(await make.user()).headers)
    assert answer.status_code == 404


async def test_a_project_credit_outlives_the_credit_of_its_organization(
    make: Factories, rows: Any
) -> None:
    await make.project_credit(await make.project(await make.customer()), "40")
    (row,) = await rows(SHARES)
    assert (row["customer_credit"], row["spendable_value"]) == (None, "0.00000")


async def test_the_ledger_shows_its_newest_movement_first(make: Factories, rows: Any) -> None:
    customer = await make.customer(name="Example")
    project = await make.project(customer)
    old = await make.credit_transaction(customer_uuid=customer.uuid, comment="Start")
    new = await make.credit_transaction(
        customer_uuid=customer.uuid,
        project_uuid=project.uuid,
        project_name="Search",
        amount=Decimal("-2.5"),
        transaction_type="minimal_draw",
        billing_period=date(2026, 10, 1),
    )
    found = await rows(LEDGER)
    assert [row["uuid"] for row in found] == [str(new.uuid), str(old.uuid)]
    assert found[0] == {
        "uuid": str(new.uuid),
        "created": "2024-01-01T00:00:00Z",
        "amount": "-2.50000",
        "transaction_type": "minimal_draw",
        "transaction_type_display": "Minimal draw",
        "comment": "",
        "customer_uuid": str(customer.uuid),
        "customer_name": "Example",
        "project_uuid": project.uuid.hex,
        "project_name": "Search",
        "billing_period": "2026-10-01",
    }
    for query, count in {
        "transaction_type=staff_grant": 1,
        "billing_period=2026-10-01": 1,
        "billing_period_after=2026-11-01": 0,
        "billing_period_before=2026-10-01": 1,
        f"project_uuid={project.uuid.hex}": 1,
        f"customer_uuid={customer.uuid}": 2,
    }.items():
        assert len(await rows(f"{LEDGER}?{query}")) == count, query


async def test_project_roles_see_the_movements_of_their_project(make: Factories, rows: Any) -> None:
    customer = await make.customer()
    project = await make.project(customer)
    member = await make.user()
    await make.project_role(member, project)
    await make.credit_transaction(customer_uuid=customer.uuid)
    own = await make.credit_transaction(customer_uuid=customer.uuid, project_uuid=project.uuid)
    await make.credit_transaction()
    assert [row["uuid"] for row in await rows(LEDGER, member.headers)] == [str(own.uuid)]
    assert len(await rows(LEDGER, (await make.owner(customer)).headers)) == 2
    assert len(await rows(LEDGER)) == 3
    assert await rows(LEDGER, (await make.user()).headers) == []
