"""The role that docs/operating.md makes does all that the service does, and each part is needed."""

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
from app.dataio import export
from app.dataio.jsonl.reader import load_file
from app.doctor import privileges
from app.doctor.check_result import CheckResult, Level
from app.jobs.job import JobRun
from app.jobs.registry import build_registry
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.databases import administer
from tests.support.factories import Factories

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture
async def role(connection: AsyncConnection, settings: Settings) -> AsyncIterator[str]:
    """A role made as the documentation says, in the test's own database."""
    name = f"least_{uuid4().hex}"
    database = make_url(settings.database_url).database or ""
    block = re.search(r"```sql\n(CREATE ROLE invoicing .*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    for statement in block[1].replace("DATABASE invoicing", f"DATABASE {database}").split(";\n"):
        given = re.sub(r"\binvoicing\b", name, statement).replace("invoicing_owner", "postgres")
        if given.strip():
            await connection.execute(text(given))
    # What everybody has by default, and need not have.
    await administer(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await connection.execute(text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
    await connection.execute(text("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC"))
    yield name
    await connection.execute(text(f"DROP OWNED BY {name}"))
    await administer(f"DROP ROLE {name}")


@pytest.fixture
def its_settings(settings: Settings, role: str) -> Settings:
    """The settings of a service that has that role."""
    url = make_url(settings.database_url).set(username=role, password="a long one")
    return settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)})


@pytest.fixture
async def its_database(its_settings: Settings) -> AsyncIterator[Database]:
    """Connections of that role."""
    database = Database(its_settings)
    yield database
    await database.close()


@pytest.fixture
def look(its_database: Database, its_settings: Settings) -> Callable[[], Awaitable[CheckResult]]:
    """What the check tells that role, in one finding."""

    async def told() -> CheckResult:
        (finding,) = await privileges.privileges(its_database, its_settings)
        return finding

    return told


async def test_the_documented_role_has_all_that_is_needed(
    look: Callable[[], Awaitable[CheckResult]], role: str
) -> None:
    finding = await look()
    assert (finding.level, finding.found.startswith(f"the role {role} has all")) == (
        Level.WELL,
        True,
    ), finding


async def test_the_documented_role_does_all_that_the_service_does(
    its_database: Database, its_settings: Settings, make: Factories, tmp_path: Path
) -> None:
    clock.freeze(datetime(2026, 11, 2, tzinfo=UTC))
    staff = await make.staff()
    customer = await make.customer()
    await make.profile(customer)
    invoice = await make.invoice(customer, Period(2026, 9), InvoiceState.CREATED)
    await make.item(invoice)
    await make.item(await make.invoice(customer, Period(2026, 10)))
    app = create_app(its_settings)
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
    await backfill(its_database, its_settings.audit_key, "factories wrote past the service")
    for name, job in build_registry(its_settings).items():
        if name not in ("deliver", "notify"):
            await job.function(JobRun(its_database, its_settings))
    file = tmp_path / "all.jsonl"
    with file.open("wb") as output:
        async for piece in export.export(its_database, its_settings, proofs=True):
            output.write(piece)
    report = await load_file(its_database, its_settings, str(file))
    assert report.fault_count == 0
    assert report.counts["invoice"].unchanged == 3
    verification = VerificationResult()
    assert [each async for each in verify(its_database, its_settings, verification)] == []


@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE"])
async def test_the_documented_role_cannot_rewrite_the_record(
    its_database: Database, privilege: str
) -> None:
    statement = {
        "UPDATE": "UPDATE invoice_history SET comment = ''",
        "DELETE": "DELETE FROM invoice_changes",
    }[privilege]
    with pytest.raises(DBAPIError, match="permission denied"):
        async with its_database.transaction() as connection:
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("revoked", "told"),
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
async def test_each_privilege_that_lacks_is_named(
    look: Callable[[], Awaitable[CheckResult]],
    connection: AsyncConnection,
    role: str,
    revoked: str,
    told: str,
) -> None:
    database = (await connection.execute(text("SELECT current_database()"))).scalar_one()
    await connection.execute(text(f"REVOKE {revoked.format(database=database)} FROM {role}"))
    finding = await look()
    assert finding.level is Level.WRONG
    assert finding.found.startswith(f"the role {role} lacks ")
    assert told in finding.found
    assert "docs/operating.md" in finding.advice


async def test_rows_that_a_policy_hides_are_told(
    look: Callable[[], Awaitable[CheckResult]], connection: AsyncConnection
) -> None:
    await connection.execute(text("ALTER TABLE customers ENABLE ROW LEVEL SECURITY"))
    finding = await look()
    assert finding.level is Level.WRONG
    assert "hide rows of customers" in finding.found


async def test_a_database_without_tables_is_another_checks_matter(
    settings: Settings, empty_database_url: str
) -> None:
    database = Database(settings.model_copy(update={"database_url": empty_database_url}))
    (finding,) = await privileges.privileges(database, settings)
    assert finding.level is Level.WELL
    await database.close()
