"""The share of each offering in an invoice."""

from decimal import Decimal
from uuid import uuid4

import httpx

from app.billing.periods import Period
from tests.support.factories import Factories

NIL = "00000000-0000-0000-0000-000000000000"


async def test_sums_by_offering(make: Factories, client: httpx.AsyncClient) -> None:
    customer = await make.customer()
    seller = await make.customer(name="Seller")
    provider = await make.service_provider(seller)
    unrecorded = await make.customer(name="Unrecorded")
    category = await make.category(title="Storage")
    disks = await make.offering(seller, name="disks", category_id=category.id)
    tapes = await make.offering(unrecorded, name="Tapes", category_id=category.id)
    orphan = await make.offering(name="orphan", category_id=category.id)
    project = await make.project(customer)
    disk = await make.resource(project, disks)
    invoice = await make.invoice(customer, tax_percent=Decimal("7.77"))
    await make.item(invoice, "0.011", resource_id=disk.id)  # 0.02
    await make.item(invoice, "1", resource_id=disk.id, offering_id=tapes.id)
    await make.item(invoice, "-0.011", offering_id=tapes.id, credit=True)  # -0.02
    await make.item(invoice, "3", offering_id=orphan.id)
    await make.item(invoice, "5")  # of no offering
    other = await make.invoice(customer, Period(2026, 9))
    await make.item(other, "7", resource_id=disk.id)
    headers = (await make.staff()).headers
    url = f"/api/invoices/{invoice.uuid}/stats/"
    answer = await client.get(url, headers=headers)
    assert answer.headers["x-result-count"] == "3"
    rows = answer.json()
    assert rows == [
        {
            "offering_name": "Tapes",
            "aggregated_price": -0.02,
            "aggregated_tax": -0.01,  # -0.001554, away from zero
            "aggregated_total": -0.03,
            "service_category_title": "Storage",
            "service_provider_name": "Unrecorded",
            "service_provider_uuid": str(unrecorded.uuid),
        },
        {
            "offering_name": "disks",
            "aggregated_price": 1.02,
            "aggregated_tax": 0.08,  # 0.079254
            "aggregated_total": 1.10,  # 1.099254
            "service_category_title": "Storage",
            "service_provider_name": "Seller",
            "service_provider_uuid": str(provider.uuid),
        },
        {
            "offering_name": "orphan",
            "aggregated_price": 3.0,
            "aggregated_tax": 0.24,  # 0.2331
            "aggregated_total": 3.24,
            "service_category_title": "Storage",
            "service_provider_name": "",
            "service_provider_uuid": NIL,
        },
    ]
    assert list(rows[0]) == [
        "offering_name", "aggregated_price", "aggregated_tax", "aggregated_total",
        "service_category_title", "service_provider_name", "service_provider_uuid",
    ]  # fmt: skip

    async def names(query: str) -> list[str]:
        answer = await client.get(f"{url}?{query}", headers=headers)
        assert answer.status_code == 200
        return [row["offering_name"] for row in answer.json()]

    assert await names(f"provider_uuid={provider.uuid.hex}") == ["disks"]
    assert await names(f"provider_uuid={seller.uuid}") == ["disks"]
    assert await names(f"provider_uuid={unrecorded.uuid}") == ["Tapes"]
    assert await names(f"provider_uuid={uuid4()}") == []
    assert await names("page_size=2&page=last&o=-year&state=pending") == ["orphan"]

    answer = await client.get(f"{url}?page_size=2&o=year", headers=headers)
    assert answer.headers["link"].count("rel=") == 3
    assert f'{url}?o=year&page=2&page_size=2>; rel="next"' in answer.headers["link"]
    head = await client.head(f"{url}?page_size=2&o=year", headers=headers)
    assert head.headers["link"] == answer.headers["link"]
    assert head.headers["x-result-count"] == "3"

    answer = await client.get(f"{url}?page=3&page_size=2", headers=headers)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})
    answer = await client.get(f"{url}?provider_uuid=x&o=uuid&page_size=0", headers=headers)
    assert sorted(answer.json()) == ["o", "page_size", "provider_uuid"]
    answer = await client.get(f"{url}?state=paid&page=99", headers=headers)
    assert answer.json() == {"detail": "No Invoice matches the given query."}


async def test_offerings_of_one_name_keep_their_order(
    make: Factories, client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer())
    for _ in range(5):
        offering = await make.offering(name="Same")
        await make.item(invoice, offering_id=offering.id)
    headers = (await make.staff()).headers
    seen = []
    for page in range(1, 6):
        url = f"/api/invoices/{invoice.uuid}/stats/?page={page}&page_size=1"
        seen += [
            row["service_category_title"] for row in (await client.get(url, headers=headers)).json()
        ]
    assert len(set(seen)) == 5


async def test_sums_take_few_statements(
    make: Factories, client: httpx.AsyncClient, statements: list[str]
) -> None:
    invoice = await make.invoice(await make.customer())
    await make.item(invoice, offering_id=(await make.offering()).id)
    headers = (await make.staff()).headers
    url = f"/api/invoices/{invoice.uuid}/stats/"
    answer = await client.get(url, headers=headers)
    # The caller, the invoice; and in a snapshot: which, how many offerings, their sums.
    assert len(statements) == 5
    statements.clear()
    again = await client.get(url, headers=headers)
    assert (again.content, again.headers["link"]) == (answer.content, answer.headers["link"])
    assert len(statements) == 1
