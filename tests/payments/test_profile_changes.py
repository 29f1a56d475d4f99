"""Changes of payment profiles: create, update, partial update, destroy, enable."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.payments.models import PaymentProfile
from tests.support.clients import BASE
from tests.support.factories import Factories, Row

URL = "/api/payment-profiles/"
DENIED = {"detail": "You do not have permission to perform this action."}
UNKNOWN = {"detail": "No PaymentProfile matches the given query."}
ENABLED = "Payment profile has been enabled."


class Case:
    """A customer, and staff who change its profiles."""

    def __init__(
        self, client: httpx.AsyncClient, connection: AsyncConnection, customer: Row
    ) -> None:
        self.client = client
        self.connection = connection
        self.customer = customer
        self.headers: dict[str, str] = {}

    def body(self, **fields: Any) -> dict[str, Any]:
        organization = f"{BASE}/api/customers/{self.customer.uuid}/"
        return {"name": "New", "organization": organization, "payment_type": "invoices"} | fields

    async def send(self, method: str, path: str = "", **request: Any) -> httpx.Response:
        headers = self.headers | request.pop("headers", {})
        return await self.client.request(method, f"{URL}{path}", headers=headers, **request)

    async def active(self) -> list[UUID]:
        statement = select(PaymentProfile.uuid).where(
            PaymentProfile.customer_id == self.customer.id, PaymentProfile.is_active
        )
        return list((await self.connection.execute(statement)).scalars())


@pytest.fixture
async def case(client: httpx.AsyncClient, connection: AsyncConnection, make: Factories) -> Case:
    case = Case(client, connection, await make.customer())
    case.headers = (await make.staff()).headers
    return case


async def test_a_created_profile_is_shown_as_it_is_retrieved(case: Case) -> None:
    attributes = {"end_date": "2027-01-31", "contract_sum": "5.00", "other": [1]}
    answer = await case.send("POST", json=case.body(attributes=attributes))
    assert answer.status_code == 201, answer.text
    profile = answer.json()
    assert profile == {
        "uuid": profile["uuid"],
        "url": f"{BASE}{URL}{profile['uuid']}/",
        "name": "New",
        "organization_uuid": str(case.customer.uuid),
        "organization": f"{BASE}/api/customers/{case.customer.uuid}/",
        "attributes": attributes,
        "payment_type": "invoices",
        "payment_type_display": "Monthly invoices",
        "is_active": True,
    }
    assert answer.headers["location"] == profile["url"]
    assert (await case.send("GET", f"{profile['uuid']}/")).json() == profile


@pytest.mark.parametrize("key", ["end_date", "agreement_number", "contract_sum"])
@pytest.mark.parametrize("value", [True, [], {"a": "b"}], ids=repr)
async def test_a_documented_attribute_is_a_text(case: Case, key: str, value: object) -> None:
    answer = await case.send("POST", json=case.body(attributes={key: value}))
    assert answer.status_code == 400
    assert answer.json() == {"attributes": [f'"{key}": Not a valid string.']}


async def test_a_number_counts_as_the_text_of_an_attribute_and_null_as_none(case: Case) -> None:
    attributes = {"contract_sum": 100, "end_date": None, "agreement_number": 7, "other": None}
    answer = await case.send("POST", json=case.body(attributes=attributes))
    assert answer.status_code == 201, answer.text
    shown = {"contract_sum": "100", "agreement_number": "7", "other": None}
    assert answer.json()["attributes"] == shown


async def test_a_stored_attribute_of_another_type_is_shown_as_text(
    case: Case, make: Factories
) -> None:
    profile = await make.profile(case.customer, attributes={"end_date": ["2027-01-31"]})
    answer = await case.send("GET", f"{profile.uuid}/")
    assert answer.json()["attributes"] == {"end_date": '["2027-01-31"]'}


@pytest.mark.parametrize("is_active", [True, "omitted"])
async def test_an_active_profile_makes_the_others_inactive(
    case: Case, make: Factories, is_active: Any
) -> None:
    await make.profile(case.customer)
    other = await make.profile(await make.customer())
    body = case.body() if is_active == "omitted" else case.body(is_active=is_active)
    created = (await case.send("POST", json=body)).json()
    assert await case.active() == [UUID(created["uuid"])]
    assert (await case.send("GET", f"{other.uuid}/")).json()["is_active"] is True


@pytest.mark.parametrize("is_active", [False, None, "", "false", 0])
async def test_an_inactive_profile_is_shown_with_null(
    case: Case, make: Factories, is_active: Any
) -> None:
    active = await make.profile(case.customer)
    answer = await case.send("POST", json=case.body(is_active=is_active))
    assert (answer.status_code, answer.json()["is_active"]) == (201, None)
    assert await case.active() == [active.uuid]


async def test_put_patch_and_enable_move_the_active_state(case: Case, make: Factories) -> None:
    first = await make.profile(case.customer)
    second = await make.profile(case.customer, is_active=False, name="Second")
    answer = await case.send("PATCH", f"{second.uuid}/", json={"is_active": True})
    assert (answer.status_code, answer.json()["is_active"]) == (200, True)
    assert await case.active() == [second.uuid]
    answer = await case.send("PUT", f"{first.uuid}/", json=case.body(name="First"))
    assert (answer.status_code, answer.json()["name"]) == (200, "First")
    assert await case.active() == [first.uuid]
    answer = await case.send("POST", f"{second.uuid}/enable/")
    assert (answer.status_code, answer.json()) == (200, {"status": ENABLED, "detail": ENABLED})
    assert await case.active() == [second.uuid]
    answer = await case.send("PATCH", f"{second.uuid}/", json={"is_active": False})
    assert answer.json()["is_active"] is None
    assert await case.active() == []


async def test_a_patch_changes_only_the_fields_of_its_body(case: Case, make: Factories) -> None:
    profile = await make.profile(case.customer, name="Old", attributes={"agreement_number": "7"})
    before = (await case.send("GET", f"{profile.uuid}/")).json()
    answer = await case.send("PATCH", f"{profile.uuid}/", json={"payment_type": "fixed_price"})
    display = "Fixed-price contract"
    changed = {"payment_type": "fixed_price", "payment_type_display": display}
    assert answer.json() == before | changed
    assert (await case.send("PATCH", f"{profile.uuid}/", json={})).json() == before | changed


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"name": ""}, {"name": ["This field may not be blank."]}),
        ({"payment_type": "x"}, {"payment_type": ['"x" is not a valid choice.']}),
        (
            {"attributes": [1], "is_active": "x"},
            {
                "attributes": ['Expected a dictionary of items but got type "list".'],
                "is_active": ["Must be a valid boolean."],
            },
        ),
        ({"organization": ""}, {"organization": ["This field may not be null."]}),
        ({"organization": "x"}, {"organization": ["Invalid hyperlink - No URL match."]}),
        (
            {"organization": f"/api/customers/{uuid4()}"},
            {"organization": ["Invalid hyperlink - No URL match."]},
        ),
        (
            {"organization": f"/api/payments/{uuid4()}/"},
            {"organization": ["Invalid hyperlink - Incorrect URL match."]},
        ),
        (
            {"organization": f"http://x/api/customers/{uuid4()}/?a=b"},
            {"organization": ["Invalid hyperlink - Object does not exist."]},
        ),
        (
            {"organization": 5},
            {"organization": ["Incorrect type. Expected URL string, received int."]},
        ),
    ],
)
async def test_invalid_fields_change_nothing(
    case: Case, make: Factories, fields: dict[str, Any], errors: dict[str, Any]
) -> None:
    profile = await make.profile(case.customer, name="Old")
    for method, path, body in (
        ("POST", "", case.body(**fields)),
        ("PUT", f"{profile.uuid}/", case.body(**fields)),
        ("PATCH", f"{profile.uuid}/", fields),
    ):
        answer = await case.send(method, path, json=body)
        assert (answer.status_code, answer.json()) == (400, errors), method
    statement = select(func.count()).select_from(PaymentProfile)
    assert (await case.connection.execute(statement)).scalar_one() == 1
    assert (await case.send("GET", f"{profile.uuid}/")).json()["name"] == "Old"


async def test_put_needs_every_required_field(case: Case, make: Factories) -> None:
    profile = await make.profile(case.customer)
    answer = await case.send("PUT", f"{profile.uuid}/", json={})
    required = ["This field is required."]
    assert answer.status_code == 400
    assert answer.json() == dict.fromkeys(("name", "organization", "payment_type"), required)


async def test_the_path_alone_names_an_organization(case: Case) -> None:
    path = f"/api/customers/{case.customer.uuid.hex}/"
    answer = await case.send("POST", json=case.body(organization=path))
    assert answer.status_code == 201


async def test_a_profile_with_payments_cannot_be_deleted(case: Case, make: Factories) -> None:
    profile = await make.profile(case.customer)
    payment = await make.payment(profile)
    answer = await case.send("DELETE", f"{profile.uuid}/")
    assert (answer.status_code, answer.json()) == (
        409,
        {"detail": "The payment profile has payments. Make it inactive instead."},
    )
    path = f"/api/payments/{payment.uuid}/"
    assert (await case.client.delete(path, headers=case.headers)).status_code == 204
    answer = await case.send("DELETE", f"{profile.uuid}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await case.send("GET", f"{profile.uuid}/")).status_code == 404


async def test_a_profile_with_linked_payments_keeps_its_organization(
    case: Case, make: Factories
) -> None:
    profile = await make.profile(case.customer)
    await make.payment(profile, invoice_id=(await make.invoice(case.customer)).id)
    other = await make.customer()
    link = f"{BASE}/api/customers/{other.uuid}/"
    answer = await case.send("PATCH", f"{profile.uuid}/", json={"organization": link})
    assert (answer.status_code, list(answer.json())) == (400, ["organization"])
    free = await make.profile(case.customer, is_active=False)
    await make.profile(other)
    answer = await case.send(
        "PATCH", f"{free.uuid}/", json={"organization": link, "is_active": True}
    )
    assert answer.json()["organization_uuid"] == str(other.uuid)
    assert await case.active() == [profile.uuid]


async def test_two_activations_at_once_leave_one_active(case: Case, make: Factories) -> None:
    profiles = [await make.profile(case.customer, is_active=False) for _ in range(4)]
    answers = await asyncio.gather(
        *(case.send("POST", f"{profile.uuid}/enable/") for profile in profiles),
        case.send("POST", json=case.body()),
    )
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 201]
    assert len(await case.active()) == 1


async def test_opposite_moves_at_once_both_succeed(case: Case, make: Factories) -> None:
    other = await make.customer()
    pairs = ((case.customer, other), (other, case.customer)) * 3
    moves = [
        (
            (await make.profile(source, is_active=False)).uuid,
            {"organization": f"{BASE}/api/customers/{target.uuid}/", "is_active": True},
        )
        for source, target in pairs
    ]
    answers = await asyncio.gather(
        *(case.send("PATCH", f"{profile}/", json=body) for profile, body in moves)
    )
    assert [answer.status_code for answer in answers] == [200] * len(moves)
    assert len(await case.active()) == 1


async def test_two_creates_under_one_key_make_one_profile(case: Case) -> None:
    key = {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(
        *(case.send("POST", json=case.body(), headers=key) for _ in range(3))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    again = await case.send("POST", json=case.body(), headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.headers["location"] == again.json()["url"]
    assert await case.active() == [UUID(again.json()["uuid"])]
    statement = select(func.count()).select_from(PaymentProfile)
    assert (await case.connection.execute(statement)).scalar_one() == 1


async def test_a_repeated_deletion_is_replayed(case: Case, make: Factories) -> None:
    profile = await make.profile(case.customer)
    key = {"Idempotency-Key": "k-1"}
    for replayed in (None, "true"):
        answer = await case.send("DELETE", f"{profile.uuid}/", headers=key)
        assert (answer.status_code, answer.headers.get("idempotent-replayed")) == (204, replayed)
    answer = await case.send("DELETE", f"{profile.uuid}/", headers={"Idempotency-Key": "k-2"})
    assert (answer.status_code, answer.json()) == (404, UNKNOWN)


async def test_if_match_compares_the_etag_of_the_retrieval(case: Case, make: Factories) -> None:
    profile = await make.profile(case.customer, is_active=False)
    path = f"{profile.uuid}/"
    etag = (await case.send("GET", path)).headers["etag"]
    headers = {"If-Match": etag}
    assert (await case.send("PATCH", path, json={"name": "A"}, headers=headers)).status_code == 200
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("PATCH", path, {"json": {"name": "B"}}),
        ("PUT", path, {"json": case.body()}),
        ("DELETE", path, {}),
        ("POST", f"{path}enable/", {}),
    ]
    for method, target, request in requests:
        answer = await case.send(method, target, headers=headers, **request)
        assert (answer.status_code, answer.json()) == (
            412,
            {"detail": "The payment profile has changed meanwhile."},
        )
    assert (await case.send("GET", path)).json()["name"] == "A"


@pytest.mark.parametrize("role", ["owner", "support", "stranger", "anonymous"])
async def test_only_staff_change_profiles(case: Case, make: Factories, role: str) -> None:
    profile = await make.profile(case.customer)
    headers: dict[str, str] = {}
    if role == "owner":
        headers = (await make.owner(case.customer)).headers
    elif role != "anonymous":
        headers = (await (make.support() if role == "support" else make.user())).headers
    for uuid in (profile.uuid, uuid4(), "malformed"):
        for method, path in (
            ("POST", ""),
            ("PUT", f"{uuid}/"),
            ("PATCH", f"{uuid}/"),
            ("DELETE", f"{uuid}/"),
            ("POST", f"{uuid}/enable/"),
        ):
            answer = await case.client.request(method, f"{URL}{path}", headers=headers, content="{")
            assert answer.status_code == (401 if role == "anonymous" else 403), (method, path)
    assert await case.active() == [profile.uuid]


async def test_the_record_comes_before_the_body(case: Case) -> None:
    for uuid in (uuid4(), "malformed"):
        for method, path in (("PUT", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "enable/")):
            answer = await case.send(method, f"{uuid}/{path}", content=b"{bad")
            assert (answer.status_code, answer.json()) == (404, UNKNOWN)


async def test_a_change_takes_few_statements(
    case: Case, make: Factories, statements: list[str]
) -> None:
    profile = await make.profile(case.customer)
    path = f"{profile.uuid}/"
    await case.send("PATCH", path, json={"name": "A"})
    for method, target, body, most in (
        ("PATCH", path, {"name": "B"}, 8),
        ("POST", f"{path}enable/", None, 7),
        ("POST", "", case.body(), 7),
        ("DELETE", path, None, 8),
    ):
        statements.clear()
        assert (await case.send(method, target, json=body)).is_success
        assert len(statements) <= most, statements
