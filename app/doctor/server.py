"""The PostgreSQL server: version, encoding, time, connections, and what stands in between."""

from datetime import timedelta
from typing import Final

from sqlalchemy import make_url, text

from app.database.engine import Database
from app.database.read_only import read_only_reason
from app.database.timeouts import session_timeouts
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.settings import Settings

OLDEST: Final = 15
"""The oldest major version that the service is known to work with."""
_SLIGHT: Final = timedelta(seconds=1)
_GRAVE: Final = timedelta(seconds=10)
_FULL: Final = 0.8


async def version(database: Database, settings: Settings) -> list[CheckResult]:
    """Tell the server's version, and whether it is the embedded one."""
    async with database.reading() as connection:
        number, name = (
            await connection.execute(
                text(
                    "SELECT current_setting('server_version_num')::integer,"
                    " current_setting('server_version')"
                )
            )
        ).one()
    host = make_url(settings.database_url).query.get("host", "")
    where = ", embedded" if str(host).endswith("/postgresql/run") else ""
    found = f"PostgreSQL {name}{where}"
    if number // 10000 < OLDEST:
        return [wrong(f"{found} is too old", f"Use PostgreSQL {OLDEST} or newer.")]
    return [well(found)]


async def encoding(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell the encoding and the collation, and whether its rules changed beneath the indexes."""
    async with database.reading() as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datcollversion,"
                    " pg_database_collation_actual_version(oid) AS actual"
                    " FROM pg_database WHERE datname = current_database()"
                )
            )
        ).one()
    if row.encoding != "UTF8":
        return [
            wrong(
                f"the database's encoding is {row.encoding}, in which not every name can be kept",
                "Create a database with ENCODING 'UTF8' and move the data with export and import.",
            )
        ]
    if row.datcollversion != row.actual:
        return [
            warning(
                f"the order of text has changed from version {row.datcollversion} of the system's"
                f" rules to {row.actual}, so that indexes of text may miss rows",
                "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.",
            )
        ]
    return [well(f"UTF8, text in the order of {row.datcollate}")]


async def time(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell the session's time zone, and how far this machine's clock is from the server's."""
    async with database.reading() as connection:
        await connection.execute(text("SELECT 1"))  # so that opening the connection is not measured
        difference = await database.clock.measure(connection)
        zone = (await connection.execute(text("SHOW timezone"))).scalar_one()
    findings = []
    if zone != "UTC":
        findings.append(
            wrong(
                f"sessions have the time zone {zone}, not UTC",
                "Let the pooler in between pass `timezone`, or ALTER ROLE … SET timezone = 'UTC'.",
            )
        )
    apart = abs(difference.ahead)
    if difference.exceeds(_SLIGHT):
        tell = wrong if apart > _GRAVE else warning
        findings.append(
            tell(
                f"this machine's clock and the database server's are"
                f" {apart.total_seconds():.1f} s apart",
                "Run a time service, such as chrony, on both.",
            )
        )
    return findings or [well(f"UTC; the clocks are {apart.total_seconds():.3f} s apart")]


async def changes(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell whether the database takes changes."""
    async with database.reading() as connection:
        reason = await read_only_reason(connection)
    if reason:
        return [
            wrong(
                f"the database takes no changes: {reason}",
                "Let DATABASE_URL lead to the primary, promote the standby, or RESET"
                " default_transaction_read_only where it was set (ALTER SYSTEM, DATABASE or ROLE).",
            )
        ]
    return [well("the database takes changes")]


async def connections(database: Database, settings: Settings, processes: int) -> list[CheckResult]:
    """Tell whether the server has connections for that many processes with full pools."""
    async with database.reading() as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT current_setting('max_connections')::integer"
                    " - current_setting('superuser_reserved_connections')::integer"
                    " - coalesce(current_setting('reserved_connections', true), '0')::integer"
                    " AS allowed,"
                    " (SELECT count(*) FROM pg_stat_activity"
                    " WHERE backend_type = 'client backend') AS used"
                )
            )
        ).one()
    if settings.database_pgbouncer:
        return [well(f"{row.used} of {row.allowed} in use, behind PgBouncer")]
    each = settings.database_pool_size + 1  # an API process has one for its probes
    found = (
        f"{row.used} of {row.allowed} in use; {processes} processes take up to {processes * each}"
    )
    fitting = row.allowed // each
    if processes > fitting:
        return [
            wrong(
                found,
                f"Run at most {fitting}, or lower DATABASE_POOL_SIZE, raise max_connections, or put"
                " PgBouncer in between.",
            )
        ]
    if row.used > _FULL * row.allowed:
        return [warning(found, "Look in pg_stat_activity who holds them.")]
    return [well(found)]


async def pooler(database: Database, settings: Settings) -> list[CheckResult]:
    """Tell whether the service's limits reach PostgreSQL, which a pooler may prevent."""
    async with database.transaction() as connection:
        lost = [
            name
            for name, value in session_timeouts(settings).items()
            if (await connection.execute(text(f"SHOW {name}"))).scalar_one() not in _spelt(value)
        ]
    if lost:
        return [
            wrong(
                f"the database does not keep {', '.join(lost)}, which something in between drops",
                "Set DATABASE_PGBOUNCER=true, and take them out of PgBouncer's"
                " ignore_startup_parameters.",
            )
        ]
    return [well("the limits of statements, locks and idle transactions are kept")]


def _spelt(seconds: str) -> set[str]:
    """Return how PostgreSQL may write a number of seconds."""
    number = int(seconds.removesuffix("s"))
    return {f"{number}s"} | ({f"{number // 60}min"} if number % 60 == 0 else set())
