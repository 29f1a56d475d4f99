"""Items across invoices: the list, one item, and who sees which."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.billing.enums import CustomerRoleName
from app.billing.periods import Period
from tests.support.factories import Factories, Row, UserRow

ITEMS = "/api/invoice-items/"
SOLD = "/api/provider-invoice-items/"
OCTOBER, NOVEMBER = Period(2026, 10), Period(2026, 11)


class Scene:
    """Two customers with an item each in October, of a seller's offering, and more items."""

    def __init__(self, make: Factories) -> None:
        self.make = make

    async def build(self) -> "Scene":
        make = self.make
        self.staff = await make.staff()
        self.seller = await make.customer(name="Seller")
        self.customer = await make.customer(name="Customer")
        self.other = await make.customer(name="Other")
        self.offering = await make.offering(self.seller, name="Offering")
        self.component = await make.component(self.offering, type="cpu")
        plan = await make.plan(self.offering)
        self.price = await make.plan_component(plan, self.component)
        self.project = await make.project(self.customer, name="Project")
        self.resource = await make.resource(self.project, self.offering, name="VM")
        self.credit = await make.credit(self.customer)
        self.invoice = await make.invoice(self.customer, OCTOBER)
        self.item = await make.item(
            self.invoice,
            "10.005",
            project_id=self.project.id,
            project_name="Old name",
            project_uuid=self.project.uuid,
            resource_id=self.resource.id,
            plan_component_id=self.price.id,
        )
        self.loose = await make.item(
            self.invoice, "-3", credit=True, customer_credit_id=self.credit.id,
            start=NOVEMBER.start, end=NOVEMBER.end,
            details={"offering_name": "Gone", "offering_component_type": "ram"},
        )  # fmt: skip
        self.november = await make.invoice(self.customer, NOVEMBER)
        self.direct = await make.item(
            self.november, "7", offering_id=self.offering.id, project_id=self.project.id,
            start=NOVEMBER.start, end=NOVEMBER.end,
        )  # fmt: skip
        self.foreign = await make.item(await make.invoice(self.other, OCTOBER), "1")
        return self


@pytest.fixture
async def scene(make: Factories) -> Scene:
    return await Scene(make).build()


async def seen(
    client: httpx.AsyncClient, user: UserRow, query: str = "", path: str = ITEMS
) -> list[str]:
    answer = await client.get(f"{path}?{query}", headers=user.headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-result-count"] == str(len(answer.json()))
    return [item["uuid"] for item in answer.json()]


def uuids(*rows: Row) -> list[str]:
    return [str(row.uuid) for row in rows]


async def test_an_item_has_the_documented_fields(client: httpx.AsyncClient, scene: Scene) -> None:
    url = f"{ITEMS}{scene.item.uuid}/"
    answer = await client.get(url, headers=scene.staff.headers)
    base = "http://invoicing.example/api"
    assert answer.json() == {
        "invoice": f"{base}/invoices/{scene.invoice.uuid}/",
        "resource": f"{base}/marketplace-resources/{scene.resource.uuid}/",
        "uuid": str(scene.item.uuid),
        "article_code": "",
        "unit_price": "10.0050000000",
        "unit": "quantity",
        "quantity": "1.0000000000",
        "measured_unit": "",
        "name": answer.json()["name"],
        "start": "2026-10-01T00:00:00Z",
        "end": "2026-10-31T23:59:59.999999Z",
        "price": 10.01,
        "details": {},
        "offering_uuid": str(scene.offering.uuid),
        "offering_name": "Offering",
        "offering_component_type": "cpu",
        "project_uuid": str(scene.project.uuid),
        "project_name": "Old name",
        "customer_uuid": str(scene.customer.uuid),
        "customer_name": "Customer",
    }


async def test_an_item_without_offering_and_project_has_the_names_of_its_details(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    answer = await client.get(f"{ITEMS}{scene.loose.uuid}/", headers=scene.staff.headers)
    item = answer.json()
    assert item["offering_uuid"] == "00000000-0000-0000-0000-000000000000"
    assert (item["offering_name"], item["offering_component_type"]) == ("Gone", "ram")
    assert (item["project_uuid"], item["project_name"], item["resource"]) == (None, "N/A", None)


async def test_the_list_is_ordered_by_start(client: httpx.AsyncClient, scene: Scene) -> None:
    expected = uuids(scene.item, scene.foreign, scene.loose, scene.direct)
    assert await seen(client, scene.staff) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("customer_uuid={customer}", ["item", "direct"]),
        ("project_uuid={project}", ["item", "direct"]),
        ("resource_uuid={resource}", ["item"]),
        ("offering_uuid={offering}", ["item", "direct"]),
        ("credit_uuid={credit}", ["loose"]),
        ("year=2026&month=11", ["direct"]),
        ("month=10", ["item", "foreign", "loose"]),
        ("month=13", []),
        ("year=99999999999999999999", []),
        ("start_year=2026&start_month=11", ["loose", "direct"]),
        ("start_month=10", ["item", "foreign"]),
        ("start_month=10.0", ["item", "foreign"]),
        ("start_year=0", []),
        ("project_uuid={customer}", []),
        ("year=", ["item", "foreign", "loose", "direct"]),
    ],
)
async def test_filters(
    query: str, expected: list[str], client: httpx.AsyncClient, scene: Scene
) -> None:
    names = ("customer", "project", "resource", "offering", "credit")
    query = query.format(**{name: getattr(scene, name).uuid for name in names})
    rows = [getattr(scene, name) for name in expected]
    assert await seen(client, scene.staff, query) == uuids(*rows)


@pytest.mark.parametrize("name", ["customer_uuid", "project_uuid", "year", "start_year"])
async def test_a_bad_value_of_a_filter_is_refused(
    name: str, client: httpx.AsyncClient, scene: Scene
) -> None:
    answer = await client.get(f"{ITEMS}?{name}=x", headers=scene.staff.headers)
    message = "Enter a valid UUID." if name.endswith("uuid") else "Enter a number."
    assert (answer.status_code, answer.json()) == (400, {name: [message]})


async def test_roles_at_the_customer_see_the_items_of_its_invoices(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    reader = await scene.make.user()
    await scene.make.role(reader, scene.customer, role=CustomerRoleName.READER)
    assert await seen(client, reader) == uuids(scene.item, scene.loose, scene.direct)
    support, stranger = await scene.make.support(), await scene.make.user()
    assert len(await seen(client, support)) == 4
    assert await seen(client, stranger) == []
    answer = await client.get(f"{ITEMS}{scene.item.uuid}/", headers=stranger.headers)
    assert answer.status_code == 404
    assert answer.json() == {"detail": "No InvoiceItem matches the given query."}


async def test_roles_in_a_project_see_its_items_if_its_customer_shows_billing_there(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    member = await scene.make.member(scene.project)
    assert await seen(client, member) == uuids(scene.item, scene.direct)
    hiding = await scene.make.customer(display_billing_info_in_projects=False)
    project = await scene.make.project(hiding)
    hidden = await scene.make.item(await scene.make.invoice(hiding), project_id=project.id)
    outsider = await scene.make.member(project)
    assert await seen(client, outsider) == []
    answer = await client.get(f"{ITEMS}{hidden.uuid}/", headers=outsider.headers)
    assert answer.status_code == 404


async def test_an_item_has_no_consumptions(client: httpx.AsyncClient, scene: Scene) -> None:
    url = f"{ITEMS}{scene.item.uuid}/consumptions/"
    answer = await client.get(url, headers=scene.staff.headers)
    assert (answer.status_code, answer.json()) == (200, [])
    assert answer.headers["x-result-count"] == "0"
    unknown = await client.get(f"{ITEMS}{uuid4()}/consumptions/", headers=scene.staff.headers)
    assert unknown.status_code == 404


async def test_sellers_see_the_items_of_their_offerings(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    sold = uuids(scene.direct, scene.item)
    for role in (CustomerRoleName.OWNER, CustomerRoleName.MANAGER):
        user = await scene.make.user()
        await scene.make.role(user, scene.seller, role=role)
        assert await seen(client, user, path=SOLD) == sold
        assert await seen(client, user) == []
    reader, owner = await scene.make.user(), await scene.make.owner(scene.customer)
    await scene.make.role(reader, scene.seller, role=CustomerRoleName.READER)
    for user in (reader, owner, await scene.make.support()):
        assert await seen(client, user, path=SOLD) == []
    assert len(await seen(client, scene.staff, path=SOLD)) == 4


async def test_a_seller_retrieves_an_item_by_its_uuid(
    client: httpx.AsyncClient, scene: Scene
) -> None:
    seller = await scene.make.owner(scene.seller)
    answer = await client.get(f"{SOLD}{scene.item.uuid}/", headers=seller.headers)
    item: dict[str, Any] = answer.json()
    within = f"/api/invoices/{scene.invoice.uuid}/items/"
    items = (await client.get(within, headers=scene.staff.headers)).json()
    assert item == next(each for each in items if each["uuid"] == str(scene.item.uuid))
    answer = await client.get(f"{SOLD}{scene.loose.uuid}/", headers=seller.headers)
    assert answer.status_code == 404
    assert (await client.get(f"{SOLD}149/", headers=seller.headers)).status_code == 404


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("customer_uuid={other}", ["foreign"]),
        ("project_uuid={project}", ["direct", "item"]),
        ("offering_uuid={offering}", ["direct", "item"]),
        ("invoice_year=2026&invoice_month=11", ["direct"]),
        ("o=unit_price", ["loose", "foreign", "direct", "item"]),
        ("o=-unit_price", ["item", "direct", "foreign", "loose"]),
        ("o=resource_offering_name,-unit_price", ["item", "direct", "foreign", "loose"]),
        ("o=-invoice_customer_name", ["foreign", "direct", "loose", "item"]),
    ],
)
async def test_filters_and_orders_of_sold_items(
    query: str, expected: list[str], client: httpx.AsyncClient, scene: Scene
) -> None:
    names = ("other", "project", "offering")
    query = query.format(**{name: getattr(scene, name).uuid for name in names})
    rows = [getattr(scene, name) for name in expected]
    assert await seen(client, scene.staff, query, SOLD) == uuids(*rows)
