"""The list of payment profiles and one profile: fields, filters, orders, access."""

from typing import Any

import httpx
import pytest

from app.billing.enums import PaymentType
from tests.support.clients import BASE
from tests.support.factories import Factories

URL = "/api/payment-profiles/"


@pytest.fixture
async def names(client: httpx.AsyncClient, make: Factories) -> Any:
    staff = await make.staff()

    async def find(query: str = "", headers: dict[str, str] = staff.headers) -> list[str]:
        answer = await client.get(f"{URL}?{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return [row["name"] for row in answer.json()]

    return find


async def test_a_profile_shows_its_organization_and_attributes(
    make: Factories, client: httpx.AsyncClient
) -> None:
    customer = await make.customer()
    profile = await make.profile(
        customer,
        name="Contract",
        payment_type=PaymentType.FIXED_PRICE,
        attributes={"note": "own key", "contract_sum": 100, "end_date": "2020-01-01"},
    )
    staff = await make.staff()
    answer = await client.get(f"{URL}{profile.uuid}/", headers=staff.headers)
    assert answer.status_code == 200
    assert answer.json() == {
        "uuid": str(profile.uuid),
        "url": f"{BASE}/api/payment-profiles/{profile.uuid}/",
        "name": "Contract",
        "organization_uuid": str(customer.uuid),
        "organization": f"{BASE}/api/customers/{customer.uuid}/",
        "attributes": {"note": "own key", "contract_sum": "100", "end_date": "2020-01-01"},
        "payment_type": "fixed_price",
        "payment_type_display": "Fixed-price contract",
        "is_active": True,
    }


async def test_an_inactive_profile_is_null_and_shown_to_staff_and_support_only(
    make: Factories, client: httpx.AsyncClient, names: Any
) -> None:
    customer = await make.customer()
    await make.profile(customer, name="new")
    former = await make.profile(customer, name="old", is_active=False)
    owner, support = await make.owner(customer), await make.support()
    assert await names() == await names("", support.headers) == ["new", "old"]
    assert await names("", owner.headers) == ["new"]
    assert await names("is_active=false", owner.headers) == []
    url = f"{URL}{former.uuid}/"
    assert (await client.get(url, headers=support.headers)).json()["is_active"] is None
    answer = await client.get(url, headers=owner.headers)
    assert (answer.status_code, answer.json()) == (
        404,
        {"detail": "No PaymentProfile matches the given query."},
    )


async def test_profiles_are_filtered_and_ordered(make: Factories, names: Any) -> None:
    one, other = await make.customer(), await make.customer()
    await make.profile(one, name="b", payment_type=PaymentType.FIXED_PRICE)
    await make.profile(one, name="c", is_active=False)
    await make.profile(other, name="Z", payment_type=PaymentType.GATEWAY_MONTHLY)
    assert await names() == ["Z", "b", "c"]
    assert await names("o=-name") == ["c", "b", "Z"]
    # A row without a value is last, ascending and descending.
    assert await names("o=is_active") == await names("o=-is_active,name") == ["Z", "b", "c"]
    assert await names("o=payment_type&o=-name") == ["b", "c", "Z"]
    assert await names("is_active=false") == ["c"]
    assert await names("is_active=1") == ["Z", "b"]
    assert await names("payment_type=fixed_price&payment_type=payment_gw_monthly") == ["Z", "b"]
    assert await names(f"organization=http://x/api/customers/{one.uuid}/") == ["b", "c"]
    assert await names(f"organization_uuid={other.uuid}&o=,") == ["Z"]


@pytest.mark.parametrize(
    ("query", "errors"),
    [
        ("o=-nonsense", {"o": "Select a valid choice. -nonsense"}),
        ("payment_type=", {"payment_type": "Select a valid choice. "}),
        ("payment_type=invoices,fixed_price", {"payment_type": "Select a valid choice."}),
        ("is_active=x", {"is_active": "Must be a valid boolean."}),
    ],
)
async def test_wrong_parameters_are_refused(
    query: str, errors: dict[str, str], make: Factories, client: httpx.AsyncClient
) -> None:
    answer = await client.get(f"{URL}?{query}", headers=(await make.staff()).headers)
    assert answer.status_code == 400
    assert list(answer.json()) == list(errors)
    for name, message in errors.items():
        assert answer.json()[name][0].startswith(message)
