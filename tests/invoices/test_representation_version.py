"""The bodies with an ETag change only together with the representation version.

`documents.json` has the version and the bodies of fixed data. To write it anew:
`UPDATE_DOCUMENTS=1 python -m pytest tests/invoices/test_representation_version.py`.
"""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching import response_cache
from app.api.caching.response_cache import REPRESENTATION_VERSION, ResponseCache
from app.billing.enums import BillingUnit, InvoiceState
from app.billing.periods import Period
from app.settings import Settings
from tests.support.factories import Factories

DOCUMENTS = Path(__file__).with_name("documents.json")
_TIMES = re.compile(r'"revision_date":"[^"]*"')


def uuid(number: int) -> UUID:
    return UUID(int=number)


async def create_fixed_data(make: Factories, connection: AsyncConnection) -> dict[str, str]:
    """Create an invoice with every kind of item; returns the headers of staff."""
    staff = await make.user(uuid=uuid(1), username="staff", is_staff=True)
    seller = await make.customer(uuid=uuid(2), name="Seller", email="seller@example.com")
    buyer = await make.customer(
        uuid=uuid(3),
        name="Õie & Söhne",
        email="buyer@example.com",
        address="Raekoja plats 1",
        postal="51003",
        phone_number="+372 1",
        bank_name="Bank",
        bank_account="EE38",
        vat_code="EE123",
    )
    project = await make.project(buyer, uuid=uuid(4), name="Project")
    category = await make.category(uuid=uuid(5), title="Compute")
    offering = await make.offering(seller, uuid=uuid(6), name="Machines", category_id=category.id)
    await make.service_provider(seller, uuid=uuid(7))
    plan = await make.plan(offering, uuid=uuid(8), name="Plan")
    component = await make.plan_component(plan, await make.component(offering))
    resource = await make.resource(project, offering, uuid=uuid(9), name="vm-1")
    invoice = await make.invoice(
        buyer, uuid=uuid(10), state=InvoiceState.CREATED, tax_percent=Decimal("22.5"), number=100001
    )
    await make.item(
        invoice,
        "0.0000000001",
        uuid=uuid(11),
        name="CPU",
        quantity=Decimal("1234567.5"),
        unit=BillingUnit.HOUR,
        measured_unit="cores",
        project_id=project.id,
        resource_id=resource.id,
        plan_component_id=component.id,
        details={"resource_name": "vm-1", "resource_uuid": uuid(9).hex, "extra": [1.5, None]},
    )
    await make.item(
        invoice, "-3.335", uuid=uuid(12), name="Credit", credit=True, offering_id=offering.id
    )
    await make.item(
        invoice,
        "100.19",
        uuid=uuid(13),
        name="Storage",
        quantity=3,
        project_name="Old project",
        project_uuid=uuid(14),
        backend_uuid=uuid(15),
        article_code="A1",
        start=datetime(2026, 10, 1, 0, 0, 0, 5, UTC),
    )
    await make.item(invoice, "0", uuid=uuid(16), name="Hidden")
    await make.invoice(buyer, Period(2026, 9), uuid=uuid(20), number=100002)
    await connection.execute(text("UPDATE invoices SET reference_number = 'R-1'"))
    return staff.headers


async def read_documents(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, str]:
    url = f"/api/invoices/{uuid(10)}/"
    response = await client.post(
        f"{url}set_backend_id/", headers=headers, json={"backend_id": "B-1"}
    )
    response.raise_for_status()
    documents = {}
    for name, target in {
        "list": "/api/invoices/",
        "sparse list": "/api/invoices/?field=uuid&field=total&field=customer_details",
        "invoice": url,
        "sparse invoice": f"{url}?field=uuid&field=items",
        "items": f"{url}items/",
        "stats": f"{url}stats/",
        "history": f"{url}history/",
        "version": f"{url}history/at/?timestamp=9999-01-01T00:00:00Z",
    }.items():
        response = await client.get(target, headers=headers)
        assert "etag" in response.headers, name
        documents[name] = _TIMES.sub('"revision_date":"TIME"', response.text)
    return documents


async def test_the_documents_of_a_version_do_not_change(
    client: httpx.AsyncClient, make: Factories, connection: AsyncConnection
) -> None:
    headers = await create_fixed_data(make, connection)
    current = {
        "version": REPRESENTATION_VERSION,
        "documents": await read_documents(client, headers),
    }
    if os.environ.get("UPDATE_DOCUMENTS"):
        DOCUMENTS.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n")
    recorded = json.loads(DOCUMENTS.read_text())
    if recorded["version"] == REPRESENTATION_VERSION:
        assert current["documents"] == recorded["documents"], (
            "Documents changed, so that ETags must change, too: raise REPRESENTATION_VERSION in"
            " app/api/caching/response_cache.py, then run this test with UPDATE_DOCUMENTS=1."
        )
    assert current == recorded, "The version changed: run this test with UPDATE_DOCUMENTS=1."


def test_processes_with_the_same_version_have_equal_etags(settings: Settings) -> None:
    """A module that only one of them has, such as one of a newer release, makes no difference."""
    state = ("items", uuid(1), 7)
    program = (
        "import sys; from uuid import UUID\n"
        "from app.settings import Settings\n"
        "from app.api.caching.response_cache import ResponseCache\n"
        "print(ResponseCache(Settings()).etag(('items', UUID(int=1), 7)))"
    )
    environment = os.environ | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "PYTHONHASHSEED": "7",
    }
    result = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment
    )
    assert result.stdout.strip() == ResponseCache(settings).etag(state)


def test_another_version_has_other_etags(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ResponseCache(settings).etag(("items", 1))
    monkeypatch.setattr(response_cache, "REPRESENTATION_VERSION", REPRESENTATION_VERSION + 1)
    assert ResponseCache(settings).etag(("items", 1)) != before
