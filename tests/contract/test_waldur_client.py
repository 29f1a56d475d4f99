"""The `waldur-api-client` of PyPI works unchanged, in its newest version and in 7.9."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import waldur_api_client
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import Invoice
from app.settings import Settings
from tests.support.data import ITEMS, Sample, make_sample
from tests.support.factories import Factories
from tests.support.paths import ROOT
from tests.support.server import serve
from tests.support.world import ITEM_NAME, World, make_world

OTHER_GROUPS = (
    "billing_total_cost",
    "credit_transactions",
    "customer_affiliates",
    "customer_credits",
    "financial_reports",
    "invoice",
    "invoice_items",
    "payment_profiles",
    "payments",
    "project_credits",
    "provider_invoice_items",
)
PROGRAM = Path(__file__).parent / "waldur_client_program.py"
CALLS = Path(__file__).parent / "waldur_client_calls.py"
GROUPS = Path(__file__).parent / "waldur_client_groups.py"
OLDER = ROOT / "requirements" / "waldur-api-client-7.9.txt"


@pytest.fixture(scope="session")
def older_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with version 7.9 of the client, which takes precedence on PYTHONPATH."""
    folder = tmp_path_factory.mktemp("waldur-api-client-7.9")
    pip = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run(
        [*pip, "--require-hashes", "--target", str(folder), "-r", str(OLDER)], check=True
    )
    return folder


async def facts_of(sample: Sample, connection: AsyncConnection) -> dict[str, Any]:
    """The data of the service that the calls expect."""
    number, total = (
        await connection.execute(
            select(Invoice.number, Invoice.total_price * 12 / 10).where(
                Invoice.id == sample.created.id
            )
        )
    ).one()
    return {
        "uuids": [str(invoice.uuid) for invoice in sample.newest_first],
        "pending": str(sample.pending.uuid),
        "created": str(sample.created.uuid),
        "payable": [str(invoice.uuid) for invoice in sample.payable],
        "customer": str(sample.customer.uuid),
        "customer_name": "Õun & Sons",
        "number": number,
        "total": f"{total:.10f}",
        "items": ITEMS,
        "offerings": ["Virtual machines"],
    }


def call_everything(
    url: str, sample: Sample, facts: dict[str, Any], environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Make every call of the client in a separate process."""
    arguments = [url, sample.staff.key, sample.stranger.key, json.dumps(facts)]
    return subprocess.run(
        [sys.executable, str(PROGRAM), str(CALLS), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("version", ["newest", "7.9"])
async def test_every_call_of_the_client_works(
    version: str,
    make: Factories,
    connection: AsyncConnection,
    api_url: str,
    request: pytest.FixtureRequest,
) -> None:
    sample = await make_sample(make)
    facts = await facts_of(sample, connection)
    environment = dict(os.environ)
    if version == "7.9":
        environment["PYTHONPATH"] = str(request.getfixturevalue("older_client"))
    done = await asyncio.to_thread(call_everything, api_url, sample, facts, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(" calls\n")


def call_groups(
    url: str, world: World, groups: list[str], environment: dict[str, str]
) -> list[str]:
    """Make every call of the other groups, and return the ids of the operations."""
    facts = {name: str(record.uuid) for name, record in world.records.items()}
    facts["item name"] = ITEM_NAME
    facts["paid period"] = f"{world.paid_period.month:02}-{world.paid_period.year}"
    arguments = [url, world.staff.key, json.dumps(facts), ",".join(groups)]
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(GROUPS), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    called: list[str] = json.loads(done.stdout)
    return called


ANSWER_CHANGED = {
    "invoice_items_create_compensation",
    "invoice_items_consumptions_retrieve",
    "invoice_send_financial_report_by_mail",
}
"""Operations whose documented answer has changed since version 7.9."""


def operations_of_groups(package: Path) -> set[str]:
    """Return the ids of the operations that a client has for the groups."""
    found = {"invoices_import_usage"}
    for group in OTHER_GROUPS:
        found |= {file.stem for file in (package / "api" / group).glob(f"{group}_*.py")}
    return found


@pytest.mark.parametrize("version", ["newest", "7.9"])
async def test_every_call_of_the_other_groups_works(
    version: str,
    make: Factories,
    settings: Settings,
    request: pytest.FixtureRequest,
) -> None:
    world = await make_world(make)
    environment = dict(os.environ)
    package = Path(waldur_api_client.__file__).parent
    if version == "7.9":
        older = request.getfixturevalue("older_client")
        environment["PYTHONPATH"] = str(older)
        package = older / "waldur_api_client"
    known = (package / "api").iterdir()
    groups = [group.name for group in known if group.name in ("invoices", *OTHER_GROUPS)]
    every_group = settings.model_copy(update={"customer_affiliates": True})
    async with serve(every_group) as url:
        called = await asyncio.to_thread(call_groups, url, world, groups, environment)
    expected = operations_of_groups(package)
    assert set(called) == expected - (ANSWER_CHANGED if version == "7.9" else set())
