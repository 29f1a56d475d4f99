"""A hot standby serves reads; after its promotion it accepts writes, and the service continues."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event, text

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database import engine
from app.database.engine import Database
from app.doctor import server
from app.doctor.check_result import Level
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.main import create_app
from app.settings import DatabaseSettings, Settings
from tests.doctor.results import collect
from tests.support.clients import client_of
from tests.support.databases import migrate
from tests.support.factories import Factories
from tests.support.standby import CopiedPostgresql, Standby, url_of_both
from tests.support.worker import until

pytestmark = pytest.mark.usefixtures("child_processes", "redis_server")


@dataclass
class Pair:
    """A primary and its standby, with an invoice to change."""

    primary: EmbeddedPostgresql
    standby: Standby
    headers: dict[str, str]
    setting: str

    def settings(self, url: str, place: Path) -> Settings:
        """Return the settings of a service that is given an address."""
        return Settings(
            database_url=url,
            database_pool_size=4,
            redis_url=os.environ["REDIS_URL"],
            queue_name=f"standby-{os.getpid()}",
            proof_dir=place / "proofs",
            mail_dir=place / "mail",
        )

    async def promote(self) -> None:
        """Make a primary of the standby."""
        database = Database(DatabaseSettings(database_url=self.standby.url))
        async with database.reading() as connection:
            assert (await connection.execute(text("SELECT pg_promote()"))).scalar_one()
        await database.close()


@dataclass(frozen=True)
class Template:
    """A stopped server whose data each test copies."""

    server: EmbeddedPostgresql
    headers: dict[str, str]
    setting: str


@pytest.fixture(scope="module")
async def template(tmp_path_factory: pytest.TempPathFactory, child_processes: None) -> Template:
    """A migrated database with an invoice."""
    with EmbeddedPostgresql(tmp_path_factory.mktemp("template")) as server:
        url = DatabaseSettings(database_url=server.url).database_url
        await asyncio.to_thread(migrate, url)
        database = Database(DatabaseSettings(database_url=url))
        async with database.reading() as connection:
            make = Factories(connection)
            staff = await make.staff()
            invoice = await make.invoice(
                await make.customer(), Period(2026, 10), InvoiceState.CREATED
            )
        await database.close()
    return Template(server, staff.headers, f"/api/invoices/{invoice.uuid}/set_backend_id/")


@pytest.fixture
def pair(template: Template, tmp_path: Path) -> Iterator[Pair]:
    """Two servers of their own: the test ends one of them."""
    primary = CopiedPostgresql(tmp_path / "primary", template.server)
    standby = Standby(tmp_path / "standby", primary, template.server)
    with primary, standby:
        yield Pair(primary, standby, template.headers, template.setting)


async def test_a_standby_serves_reads_and_after_promotion_writes(
    pair: Pair, tmp_path: Path
) -> None:
    app = create_app(pair.settings(pair.standby.url, tmp_path))
    async with app.router.lifespan_context(app), client_of(app) as client:
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json() == {"status": "unavailable", "database": "standby", "redis": "ok"}
        assert (await client.get("/health/startup")).status_code == 200
        listed = await client.get("/api/invoices/", headers=pair.headers)
        assert len(listed.json()) == 1
        answer = await client.post(pair.setting, json={"backend_id": "7"}, headers=pair.headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        (result,) = await collect(server.changes(app.state.database, app.state.settings))
        assert (result.level, result.message) == (
            Level.WRONG,
            "the database is read-only: it is a standby",
        )
        await pair.promote()
        answer = await client.post(pair.setting, json={"backend_id": "7"}, headers=pair.headers)
        assert answer.status_code == 200
        assert (await client.get("/health/ready")).json()["database"] == "ok"


@pytest.mark.parametrize("wanted", ["read-write", "any"])
async def test_the_service_switches_to_the_promoted_standby(
    pair: Pair, tmp_path: Path, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "REPLACE_AFTER", 0.1)
    app = create_app(pair.settings(url_of_both(pair.primary, pair.standby, wanted), tmp_path))
    async with app.router.lifespan_context(app), client_of(app) as client:

        async def change() -> httpx.Response:
            return await client.post(pair.setting, json={"backend_id": "7"}, headers=pair.headers)

        assert (await change()).status_code == 200
        await asyncio.to_thread(pair.primary.stop)
        for _ in range(6):
            answer = await change()
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        await pair.promote()

        async def goes() -> bool:
            return (await change()).status_code == 200

        await until(goes)


async def test_sessions_with_a_former_standby_are_replaced(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failover the first connections may be late, as when a name must be resolved again."""
    monkeypatch.setattr(engine, "REPLACE_AFTER", 0.0)
    primary, standby = pair.primary.port, pair.standby.port
    settings = pair.settings(f"postgresql://postgres@127.0.0.1:{standby}/postgres", tmp_path)
    app = create_app(settings)
    async with app.router.lifespan_context(app), client_of(app) as client:

        async def change() -> int:
            answer = await client.post(pair.setting, json={"backend_id": "7"}, headers=pair.headers)
            return answer.status_code

        assert await change() == 503
        sync_engine = app.state.database.engine.sync_engine
        to_primary = sync_engine.dialect.create_connect_args(sync_engine.url.set(port=primary))[1]
        event.listen(sync_engine, "do_connect", lambda _d, _r, _a, given: given.update(to_primary))
        assert await change() == 200
