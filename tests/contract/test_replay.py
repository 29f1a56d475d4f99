"""The recorded exchanges of a Waldur, replayed on an import of its database."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from app import clock
from app.settings import IssuerDetails, Settings
from tests.contract.differences import (
    NEW,
    WHOLE,
    UuidStyle,
    compare,
    differences_of,
    expected,
)
from tests.contract.recorded_waldur import Facts
from tests.contract.recording import Answer, scenarios
from tests.contract.replaying import (
    NOW,
    Apps,
    Imported,
    changes,
    import_recorded,
    replay,
    settings_of,
)
from tests.support.databases import administer, url_of_database
from tests.support.waldur import recorded

FILE = (
    Path(os.environ.get("SHARED_DIR", Path(__file__).parents[3] / "shared"))
    / "recorded"
    / "exchanges.jsonl"
)
SCENARIOS = scenarios(FILE) if FILE.is_file() else {}
pytestmark = [
    pytest.mark.skipif(
        not SCENARIOS, reason="the folder `shared` with the recorded exchanges is missing"
    ),
    pytest.mark.usefixtures("redis_server"),
]


@pytest.fixture(scope="session")
def imports() -> Iterator[dict[str, Imported]]:
    """The imported databases, by the SQL that changed the Waldur before the import."""
    databases: dict[str, Imported] = {}
    yield databases
    drops = [f"DROP DATABASE {each.database} WITH (FORCE)" for each in databases.values()]
    asyncio.run(administer(*drops))


@pytest.fixture
def setup_sql(request: pytest.FixtureRequest) -> str:
    """The SQL by which the scenario changes the Waldur, at the time of the recording."""
    has_scenario = "name" in request.fixturenames
    sql = SCENARIOS[request.getfixturevalue("name")][0].setup_sql if has_scenario else ""
    return sql.replace("now()", f"timestamptz '{NOW.isoformat()}'")


@pytest.fixture
async def imported(
    imports: dict[str, Imported],
    setup_sql: str,
    template_database: str,
    shared: Path,
    tmp_path: Path,
) -> Imported:
    """The recorded Waldur, changed by the scenario and imported into an empty database."""
    if setup_sql not in imports:
        settings = _settings(url_of_database(template_database), tmp_path)
        imports[setup_sql] = await import_recorded(
            recorded(shared), setup_sql, template_database, settings, SCENARIOS
        )
    return imports[setup_sql]


def _settings(url: str, place: Path) -> Settings:
    issuer = SCENARIOS[WHOLE[0]][0].answer.body["issuer_details"]
    return settings_of(url, place, IssuerDetails(**issuer))


@pytest.fixture(params=get_args(UuidStyle))
def style(request: pytest.FixtureRequest) -> UuidStyle:
    return request.param  # type: ignore[no-any-return]  # one of the parameters


@pytest.fixture(scope="module")
async def apps(
    template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Apps]:
    """The started APIs that scenarios without changes share."""
    place = tmp_path_factory.mktemp("replay")
    async with Apps(_settings(url_of_database(template_database), place)) as apps:
        yield apps


@pytest.fixture
async def app(
    name: str, style: UuidStyle, imported: Imported, apps: Apps
) -> AsyncIterator[FastAPI]:
    """The API on a clone of the imported database, its own for a scenario that changes it."""
    clock.freeze(NOW)
    if not any(map(changes, SCENARIOS[name])):
        yield await apps.shared(imported.database, style)
        return
    async with apps.own(imported.database, style) as app:
        yield app


@pytest.mark.parametrize("name", SCENARIOS)
async def test_responses_are_as_recorded(
    name: str, style: UuidStyle, app: FastAPI, imported: Imported
) -> None:
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport) as client:
        for exchange in SCENARIOS[name]:
            expected_answer, _ = expected(exchange, imported.facts, style)
            actual = await replay(client, exchange)
            if exchange.operation == "payments":
                actual = _mask_new_payments(actual, imported.facts)
            if differences := list(compare(actual, expected_answer)):
                pytest.fail("\n".join([str(exchange), *differences]))


async def test_every_difference_applies_to_an_exchange(
    style: UuidStyle, imported: Imported
) -> None:
    applied: set[str] = set()
    for exchange in (each for steps in SCENARIOS.values() for each in steps):
        applied.update(expected(exchange, imported.facts, style)[1])
    assert applied == {difference.name for difference in differences_of(style)}


def test_the_whole_recording_is_replayed() -> None:
    assert len(SCENARIOS) == 108
    assert sum(map(len, SCENARIOS.values())) == 171


def _mask_new_payments(answer: Answer, facts: Facts) -> Answer:
    """Replace the identifiers of the payments that the Waldur did not have."""
    body = [
        payment
        if str(UUID(payment["uuid"])) in facts.payments
        else payment | {"uuid": NEW, "url": NEW}
        for payment in answer.body
    ]
    return replace(answer, body=body)
