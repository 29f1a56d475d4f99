"""The role of docs/operating.md has exactly the privileges that the service needs."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.audit.backfill import backfill
from app.audit.verify import VerificationResult, verify
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.database.engine import Database
from app.dataio.jsonl import exporter
from app.dataio.jsonl.importer import import_file
from app.doctor import privileges
from app.doctor.check_result import CheckResult, Level
from app.jobs.registry import build_registry
from app.jobs.runner import JobRun
from app.main import create_app
from app.notifications.sending import Sender
from app.settings import Settings
from tests.doctor.results import collect
from tests.support.clients import client_of
from tests.support.databases import administer
from tests.support.factories import Factories

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture
async def role(connection: AsyncConnection, settings: Settings) -> AsyncIterator[str]:
    """A role created as the documentation says, in the test's own database."""
    name = f"least_{uuid4().hex}"
    database = make_url(settings.database_url).database or ""
    block = re.search(r"```sql\n(CREATE ROLE invoicing .*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    for statement in block[1].replace("DATABASE invoicing", f"DATABASE {database}").split(";\n"):
        given = re.sub(r"\binvoicing\b", name, statement).replace("invoicing_owner", "postgres")
        if given.strip():
            await connection.execute(text(given))
    # Privileges that PUBLIC has by default, and that the role must not depend on.
    await administer(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute(text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
    await connection.execute(text("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC"))
    yield name
    await connection.execute(text(f"DROP OWNED BY {name}"))
    await administer(f"DROP ROLE {name}")


@pytest.fixture
def role_settings(settings: Settings, role: str) -> Settings:
    """The settings of a service that uses the role."""
    url = make_url(settings.database_url).set(username=role, password="a long one")
    return settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)})


@pytest.fixture
async def role_database(role_settings: Settings) -> AsyncIterator[Database]:
    """A connection pool of the role."""
    database = Database(role_settings)
    yield database
    await database.close()


@pytest.fixture
def check_role(
    role_database: Database, role_settings: Settings
) -> Callable[[], Awaitable[CheckResult]]:
    """The check of the privileges, with one result."""

    async def check() -> CheckResult:
        (result,) = await collect(privileges.privileges(role_database, role_settings))
        return result

    return check


async def test_the_documented_role_has_every_required_privilege(
    check_role: Callable[[], Awaitable[CheckResult]], role: str
) -> None:
    result = await check_role()
    assert (result.level, result.message.startswith(f"the role {role} has all")) == (
        Level.WELL,
        True,
    ), result


async def test_the_documented_role_can_do_everything_the_service_does(
    role_database: Database, role_settings: Settings, make: Factories, tmp_path: Path
) -> None:
    clock.freeze(datetime(2026, 11, 2, tzinfo=UTC))
    staff = await make.staff()
    customer = await make.customer()
    await make.profile(customer)
    invoice = await make.invoice(customer, Period(2026, 9), InvoiceState.CREATED)
    await make.item(invoice)
    await make.item(await make.invoice(customer, Period(2026, 10)))
    app = create_app(role_settings)
    async with app.router.lifespan_context(app), client_of(app) as client:
        place = f"/api/invoices/{invoice.uuid}/"
        for path, body in (
            ("set_backend_id/", {"backend_id": "7"}),
            ("send_notification/", {}),
            ("paid/", {"date": "2026-11-01"}),
        ):
            answer = await client.post(
                place + path,
                json=body,
                headers={**staff.headers, "Idempotency-Key": path},
            )
            assert answer.status_code == 200, answer.text
        for path in (place, "/api/invoices/", "/api/invoices/growth/", f"{place}history/"):
            assert (await client.get(path, headers=staff.headers)).status_code == 200
        assert (await client.get("/health/ready")).json()["database"] == "ok"
    await backfill(role_database, role_settings.audit_key, "rows of the factories")
    run = JobRun(role_database, role_settings, Sender(role_database, role_settings))
    for name, job in build_registry(role_settings).items():
        if name not in ("deliver", "notify", "send_report"):
            await job.function(run)
    file = tmp_path / "all.jsonl"
    with file.open("wb") as output:
        async for piece in exporter.export_lines(role_database, role_settings, proofs=True):
            output.write(piece)
    report = await import_file(role_database, role_settings, str(file))
    assert report.rejected_count == 0
    assert report.counts["invoice"].unchanged == 3
    verification = VerificationResult()
    assert [each async for each in verify(role_database, role_settings, verification)] == []


@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE"])
async def test_the_documented_role_cannot_rewrite_the_audit_record(
    role_database: Database, privilege: str
) -> None:
    statement = {
        "UPDATE": "UPDATE invoice_history SET comment = ''",
        "DELETE": "DELETE FROM invoice_changes",
    }[privilege]
    with pytest.raises(DBAPIError, match="permission denied"):
        async with role_database.transaction() as connection:
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("revoked", "message"),
    [
        ("INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public", "INSERT, UPDATE, DELETE on user"),
        ("SELECT ON invoices", "SELECT on invoices"),
        ("INSERT ON invoice_history", "INSERT on invoice_history"),
        ("SELECT ON alembic_version", "SELECT on alembic_version"),
        ("USAGE ON SEQUENCE invoice_numbers", "USAGE on invoice_numbers"),
        ("UPDATE ON SEQUENCE invoice_numbers", "UPDATE on invoice_numbers"),
        ("EXECUTE ON FUNCTION current_change()", "EXECUTE on current_change()"),
        ("TEMPORARY ON DATABASE {database}", "TEMPORARY on the database"),
        ("USAGE ON SCHEMA public", "USAGE on the schema public"),
    ],
)
async def test_each_missing_privilege_is_named(
    check_role: Callable[[], Awaitable[CheckResult]],
    connection: AsyncConnection,
    role: str,
    revoked: str,
    message: str,
) -> None:
    database = (await connection.execute(text("SELECT current_database()"))).scalar_one()
    await connection.execute(text(f"REVOKE {revoked.format(database=database)} FROM {role}"))
    result = await check_role()
    assert result.level is Level.WRONG
    assert result.message.startswith(f"the role {role} lacks ")
    assert message in result.message
    assert "docs/operating.md" in result.advice


async def test_rows_hidden_by_a_policy_are_reported(
    check_role: Callable[[], Awaitable[CheckResult]], connection: AsyncConnection
) -> None:
    await connection.execute(text("ALTER TABLE customers ENABLE ROW LEVEL SECURITY"))
    result = await check_role()
    assert result.level is Level.WRONG
    assert "hide rows of customers" in result.message
