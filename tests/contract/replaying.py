"""Replays recorded exchanges on an import of the Waldur that they were recorded from."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self
from uuid import uuid4

import httpx
from fastapi import FastAPI

from app.database.engine import Database
from app.dataio.waldur.importer import import_waldur_database
from app.main import create_app
from app.settings import IssuerDetails, Settings
from tests.contract.differences import UuidStyle
from tests.contract.recorded_waldur import Facts, facts_of
from tests.contract.recording import Answer, Exchange
from tests.support.databases import administer, url_of_database
from tests.support.waldur import Columns, Rows, create_waldur, execute

BASE = "http://127.0.0.1:58000"
NOW = datetime(2026, 11, 23, 14, 47, tzinfo=UTC)
"""The address and the time of the recorded Waldur."""


@dataclass(frozen=True)
class Imported:
    """A database with an imported Waldur, for cloning, and the facts of that Waldur."""

    database: str
    facts: Facts


async def import_recorded(
    tables: tuple[Columns, Rows],
    setup_sql: str,
    template: str,
    settings: Settings,
    scenarios: Mapping[str, tuple[Exchange, ...]],
) -> Imported:
    """Import a Waldur with these tables, changed by SQL, into a clone of the template."""
    waldur, name = f"waldur_{uuid4().hex}", f"imported_{uuid4().hex}"
    await administer(
        f"CREATE DATABASE {waldur}",
        f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY",
    )
    url = url_of_database(waldur)
    await create_waldur(url, *tables)
    await execute(url, *filter(None, map(str.strip, setup_sql.split(";"))))
    settings = settings.model_copy(update={"database_url": url_of_database(name)})
    database = Database(settings)
    try:
        report = await import_waldur_database(url, database, settings)
    finally:
        await database.close()
    assert not {kind for kind, _ in report.skipped} - {"role", "project_credit"}
    facts = await facts_of(url, scenarios)
    await administer(f"DROP DATABASE {waldur} WITH (FORCE)")
    return Imported(name, facts)


def settings_of(url: str, place: Path, issuer: IssuerDetails) -> Settings:
    """Return settings like those of the recorded Waldur."""
    return Settings(
        database_url=url,
        database_pool_size=3,
        redis_url=os.environ["REDIS_URL"],
        queue_name=url.rpartition("/")[2] or "replay",
        public_url=BASE,
        issuer_details=issuer,
        mail_dir=place / "mail",
        proof_dir=place / "proofs",
        log_format="console",
    )


class Apps:
    """Started APIs of imported databases, with settings like these; the shared ones stay open."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shared: dict[tuple[str, UuidStyle], FastAPI] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def shared(self, database: str, style: UuidStyle) -> FastAPI:
        """Return the API of a clone that no scenario changes."""
        if (database, style) not in self._shared:
            started = self.own(database, style)
            self._shared[database, style] = await self._stack.enter_async_context(started)
        return self._shared[database, style]

    @asynccontextmanager
    async def own(self, database: str, style: UuidStyle) -> AsyncIterator[FastAPI]:
        """Yield the API of a new clone of a database."""
        async with clone_of(database) as url:
            update = {
                "database_url": url,
                "queue_name": url.rpartition("/")[2],
                "wire_uuid_style": style,
            }
            app = create_app(self._settings.model_copy(update=update))
            async with app.router.lifespan_context(app):
                yield app


@asynccontextmanager
async def clone_of(database: str) -> AsyncIterator[str]:
    """Make a clone of a database, and give its URL."""
    name = f"replay_{uuid4().hex}"
    await administer(f"CREATE DATABASE {name} TEMPLATE {database} STRATEGY FILE_COPY")
    try:
        yield url_of_database(name)
    finally:
        await administer(f"DROP DATABASE {name} WITH (FORCE)")


def changes(exchange: Exchange) -> bool:
    """Return whether an exchange changed the Waldur."""
    return exchange.method not in ("GET", "HEAD") and exchange.answer.status < 300


async def replay(client: httpx.AsyncClient, exchange: Exchange) -> Answer:
    """Send a recorded request and return the response."""
    response = await client.request(
        exchange.method,
        f"{BASE}{exchange.target}",
        headers=dict(exchange.headers),
        content=exchange.content,
    )
    return Answer.parse(response.status_code, dict(response.headers), response.content)
