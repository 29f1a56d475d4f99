"""The recorded exchanges of a Waldur's other groups, replayed on an import of its database."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import clock
from app.settings import IssuerDetails
from tests.contract.differences import compare
from tests.contract.group_differences import (
    DECISIONS,
    EQUIVALENCES,
    NEW_KEYS,
    common_form,
    contradictions,
    decision_of,
)
from tests.contract.recording import Exchange, scenarios
from tests.contract.replaying import (
    NOW,
    Apps,
    Imported,
    import_recorded,
    replay,
    settings_of,
)
from tests.support.databases import administer, url_of_database
from tests.support.waldur_recorded import release_2024

FILE = (
    Path(os.environ.get("SHARED_DIR", Path(__file__).parents[3] / "shared"))
    / "recorded"
    / "siblings.jsonl"
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


@pytest.fixture(scope="module")
async def apps(
    template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Apps]:
    """The started APIs that scenarios without changes share."""
    url, place = url_of_database(template_database), tmp_path_factory.mktemp("replay")
    async with Apps(settings_of(url, place, IssuerDetails())) as apps:
        yield apps


@pytest.fixture
async def imported(
    name: str, imports: dict[str, Imported], template_database: str, shared: Path, tmp_path: Path
) -> str:
    """The database with the recorded Waldur, changed by the scenario and imported."""
    setup_sql = SCENARIOS[name][0].setup_sql
    if setup_sql not in imports:
        settings = settings_of(url_of_database(template_database), tmp_path, IssuerDetails())
        imports[setup_sql] = await import_recorded(
            release_2024(shared), setup_sql, template_database, settings, {}
        )
    return imports[setup_sql].database


@pytest.fixture
async def app(name: str, imported: str, apps: Apps) -> AsyncIterator[FastAPI]:
    """The API on a clone of the imported database, its own for a scenario that changes it."""
    clock.freeze(NOW)
    if all(step.method == "GET" for step in SCENARIOS[name]):
        yield await apps.shared(imported, "hex")
        return
    async with apps.own(imported, "hex") as app:
        yield app


@pytest.fixture(scope="module")
def used() -> set[str]:
    """The reasons of the differences that were seen."""
    return set()


@pytest.fixture(scope="module")
def replayed() -> set[str]:
    """The scenarios that this process has replayed."""
    return set()


@pytest.mark.parametrize("name", SCENARIOS)
async def test_responses_are_as_recorded(
    name: str, app: FastAPI, used: set[str], replayed: set[str]
) -> None:
    replayed.add(name)
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
    identifiers: dict[str, str] = {}
    async with httpx.AsyncClient(transport=transport) as client:
        for recorded in SCENARIOS[name]:
            exchange = with_identifiers(recorded, identifiers)
            actual = await replay(client, exchange)
            identifiers |= new_identifiers(recorded.answer.body, actual.body)
            decision = decision_of(exchange)
            if decision is not None:
                used.add(DECISIONS[decision].reason)
                problems = list(contradictions(decision, exchange, actual))
            else:
                ours, theirs, reasons = common_form(exchange, actual, exchange.answer)
                used |= reasons
                problems = list(compare(ours, theirs))
            if problems:
                pytest.fail("\n".join([str(exchange), *problems]))


def test_every_difference_was_seen(used: set[str], replayed: set[str]) -> None:
    """After the replay of all scenarios, which precedes this test in one process."""
    if len(replayed) < len(SCENARIOS):
        pytest.skip("other processes replayed some of the scenarios")
    named = {decision.reason for decision in DECISIONS.values()}
    named |= {NEW_KEYS, *(each.reason for each in EQUIVALENCES)}
    assert named == used


def test_the_whole_recording_is_replayed() -> None:
    assert len(SCENARIOS) == 118
    assert sum(map(len, SCENARIOS.values())) == 123


def with_identifiers(exchange: Exchange, identifiers: dict[str, str]) -> Exchange:
    """Return the exchange with our identifiers of the records that earlier ones created."""
    path = exchange.path
    for theirs, ours in identifiers.items():
        path = path.replace(theirs, ours)
    return replace(exchange, path=path)


def new_identifiers(recorded: Any, actual: Any) -> dict[str, str]:
    """Return the identifiers in the response that created a record: ours, by the recorded ones."""
    if not isinstance(recorded, dict) or not isinstance(actual, dict):
        return {}
    keys = ("uuid", "invoice_item_uuid")
    return {recorded[key]: actual[key] for key in keys if key in recorded and key in actual}
