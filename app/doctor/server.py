"""Checks of the PostgreSQL server: version, encoding, time, connections and timeouts."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

from sqlalchemy import make_url, text

from app.database.engine import Database
from app.database.replication import read_only_reason
from app.database.timeouts import session_timeouts
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.settings import Settings

OLDEST: Final = 15
"""The oldest major version that the tests cover."""
_SMALL_OFFSET: Final = timedelta(seconds=1)
_LARGE_OFFSET: Final = timedelta(seconds=10)
_NEARLY_FULL: Final = 0.8
_VERSION: Final = text("""
SELECT current_setting('server_version_num')::integer, current_setting('server_version')
""")
_ENCODING: Final = text("""
SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datcollversion,
       pg_database_collation_actual_version(oid) AS actual
FROM pg_database WHERE datname = current_database()
""")
_CONNECTIONS: Final = text("""
SELECT current_setting('max_connections')::integer
           - current_setting('superuser_reserved_connections')::integer
           - coalesce(current_setting('reserved_connections', true), '0')::integer AS allowed,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used
""")
_IGNORED_TIMEOUTS: Final = text("""
SELECT name FROM unnest(CAST(:names AS text[]), CAST(:values AS text[])) AS expected (name, value)
WHERE CAST(current_setting(name) AS interval) <> CAST(value AS interval)
""")


async def version(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Check the version of the server."""
    async with database.reading() as connection:
        number, name = (await connection.execute(_VERSION)).one()
    host = make_url(settings.database_url).query.get("host", "")
    embedded = ", embedded" if str(host).endswith("/postgresql/run") else ""
    message = f"PostgreSQL {name}{embedded}"
    if number // 10000 < OLDEST:
        yield wrong(f"{message} is too old", f"Use PostgreSQL {OLDEST} or newer.")
    else:
        yield well(message)


async def encoding(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check the encoding, and whether the collation changed since the indexes were built."""
    async with database.reading() as connection:
        row = (await connection.execute(_ENCODING)).one()
    if row.encoding != "UTF8":
        yield wrong(
            f"the encoding of the database is {row.encoding}, which cannot store every name",
            "Create a database with ENCODING 'UTF8' and move the data with export and import.",
        )
    elif row.datcollversion != row.actual:
        yield warning(
            f"the system's collation has changed from version {row.datcollversion} to"
            f" {row.actual}, so indexes of text may miss rows",
            "REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.",
        )
    else:
        yield well(f"UTF8, with the collation {row.datcollate}")


async def time(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check the time zone of sessions, and compare this machine's clock with the server's."""
    async with database.reading() as connection:
        await connection.execute(text("SELECT 1"))  # opens the connection, which must not count
        offset = await database.clock.measure(connection)
        zone = (await connection.execute(text("SHOW timezone"))).scalar_one()
    if zone != "UTC":
        yield wrong(
            f"the time zone of sessions is {zone}, not UTC",
            "Let the pooler pass `timezone`, or ALTER ROLE … SET timezone = 'UTC'.",
        )
    apart = abs(offset.ahead)
    if offset.exceeds(_SMALL_OFFSET):
        level = wrong if apart > _LARGE_OFFSET else warning
        yield level(
            f"this machine's clock and the database server's differ by"
            f" {apart.total_seconds():.1f} s",
            "Run a time service, such as chrony, on both.",
        )
    elif zone == "UTC":
        yield well(f"UTC; the clocks differ by {apart.total_seconds():.3f} s")


async def changes(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the database accepts writes."""
    async with database.reading() as connection:
        reason = await read_only_reason(connection)
    if reason:
        yield wrong(
            f"the database is read-only: {reason}",
            "Point DATABASE_URL to the primary, promote the standby, or RESET"
            " default_transaction_read_only where it is set (ALTER SYSTEM, DATABASE or ROLE).",
        )
    else:
        yield well("the database accepts writes")


async def connections(
    database: Database, settings: Settings, processes: int
) -> AsyncIterator[CheckResult]:
    """Check that the server allows as many connections as the processes may open."""
    async with database.reading() as connection:
        row = (await connection.execute(_CONNECTIONS)).one()
    if settings.database_pgbouncer:
        yield well(f"{row.used} of {row.allowed} connections are in use, behind PgBouncer")
        return
    each = settings.database_pool_size + 1  # an API process keeps one for its probes
    message = (
        f"{row.used} of {row.allowed} connections are in use;"
        f" {processes} processes take up to {processes * each}"
    )
    fitting = row.allowed // each
    if processes > fitting:
        yield wrong(
            message,
            f"Run at most {fitting}, or lower DATABASE_POOL_SIZE, raise max_connections, or put"
            " PgBouncer in front.",
        )
    elif row.used > _NEARLY_FULL * row.allowed:
        yield warning(message, "See in pg_stat_activity which clients hold them.")
    else:
        yield well(message)


async def timeouts(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the service's timeouts reach PostgreSQL; a pooler may drop them."""
    expected = session_timeouts(settings)
    values = {"names": list(expected), "values": list(expected.values())}
    async with database.transaction() as connection:
        ignored = (await connection.execute(_IGNORED_TIMEOUTS, values)).scalars().all()
    if ignored:
        yield wrong(
            f"the database ignores {', '.join(ignored)}, because a pooler drops them",
            "Set DATABASE_PGBOUNCER=true, and remove them from PgBouncer's"
            " ignore_startup_parameters.",
        )
    else:
        yield well("the timeouts of statements, locks and idle transactions are in effect")
