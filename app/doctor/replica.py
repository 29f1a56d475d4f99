"""Check of the standby at DATABASE_READ_URL."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text

from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.logging import error_message
from app.settings import Settings

_ADVICE: Final = "Let DATABASE_READ_URL name a hot standby of the database, or remove it."
_PRIMARY: Final = text("SELECT system_identifier FROM pg_control_system()")
_STANDBY: Final = text("""
SELECT pg_is_in_recovery() AS is_standby, system_identifier,
       CASE WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() THEN 0
            ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0)
       END::float8 AS lag
FROM pg_control_system()
""")


async def replica(database: Database, settings: Settings) -> AsyncIterator[CheckResult]:
    """Check that the server is a standby of the database, and does not lag too far behind."""
    if settings.database_read_url is None:
        return
    update = {"database_url": settings.database_read_url, "database_pgbouncer": False}
    standby = Database(settings.model_copy(update=update), is_replica=True)
    try:
        async with standby.reading() as connection:
            found = (await connection.execute(_STANDBY)).one()
    except DatabaseUnavailable as error:
        yield wrong(f"DATABASE_READ_URL cannot be reached: {error_message(error)}", _ADVICE)
        return
    finally:
        await standby.close()
    async with database.reading() as connection:
        system = (await connection.execute(_PRIMARY)).scalar_one()
    if found.system_identifier != system:
        yield wrong("the server at DATABASE_READ_URL belongs to another database", _ADVICE)
    elif not found.is_standby:
        yield wrong("the server at DATABASE_READ_URL is no standby, so it is not read", _ADVICE)
    elif found.lag > settings.database_read_max_lag:
        yield warning(
            f"the standby is {found.lag:.0f} s behind, so it is not read",
            "See pg_stat_replication of the primary and the log of the standby.",
        )
    else:
        yield well(f"reads go to a standby, which is {found.lag:.1f} s behind")
