"""Runs all checks at the same time, each under its own timeout."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.database.engine import Database
from app.doctor import (
    configuration,
    hosts,
    issuer,
    privileges,
    proofs,
    replica,
    schema,
    server,
    services,
    work,
)
from app.doctor.check_result import CheckResult, warning, wrong
from app.doctor.configuration import Configuration
from app.logging import error_message
from app.progress import UNWATCHED, Progress
from app.settings import Settings

_Check = AsyncIterator[CheckResult]
_DatabaseCheck = Callable[[Database, Settings], _Check]

TIMEOUT: Final = 10.0
"""Seconds that one check may take."""
_CONNECT_TIMEOUT: Final = 5
"""Seconds that connecting to the database may take."""
_TIMED_OUT: Final = wrong(
    f"no answer within {TIMEOUT:.0f} s", "Check the other server and the network in between."
)
_SERVER_CHECKS: Final[dict[str, _DatabaseCheck]] = {
    "database": server.version,
    "changes": server.changes,
    "encoding": server.encoding,
    "time": server.time,
    "limits": server.timeouts,
    "durability": hosts.durability,
    "replica": replica.replica,
    "revision": schema.revision,
}
_TABLE_CHECKS: Final[dict[str, _DatabaseCheck]] = {
    "indexes": schema.indexes,
    "triggers": schema.triggers,
    "privileges": privileges.privileges,
    "currency": work.currency,
    "outbox": work.outbox,
    "deliveries": work.deliveries,
    "months": work.months,
    "documents": work.documents,
    "credits": work.credits,
    "reports": work.reports,
    "proofs": proofs.proofs,
}
"""Checks that need the tables of the service; skipped in an empty database."""
_OTHER_CHECKS: Final[dict[str, Callable[[Settings], _Check]]] = {
    "hosts": hosts.hosts,
    "redis": services.redis,
    "sentinels": services.sentinels,
    "worker": services.worker,
    "mail": services.mail,
    "proof store": proofs.store,
    "issuer": issuer.issuer,
}
_REDIS_CHECKS: Final = ("redis", "sentinels", "worker")


@dataclass(frozen=True)
class CheckResults:
    """The results of all checks, by the name of the check."""

    by_check: dict[str, list[CheckResult]]
    timed_out: bool
    """Whether a check was abandoned, which may keep the process from exiting."""


async def run_checks(
    usable: Configuration, processes: int, progress: Progress = UNWATCHED
) -> CheckResults:
    """Run every check that the settings allow; `processes` is the planned number of processes."""
    pool_size = len(_SERVER_CHECKS) + len(_TABLE_CHECKS) + 1
    settings = usable.settings.model_copy(
        update={"database_pool_timeout": _CONNECT_TIMEOUT, "database_pool_size": pool_size}
    )
    results = {"settings": list(configuration.check(usable))}
    checks: dict[str, _Check] = {}
    database = Database(settings)
    if "database_url" not in usable.unusable:
        try:
            has_tables = await asyncio.wait_for(schema.has_tables(database), TIMEOUT)
        except (SQLAlchemyError, OSError) as error:
            results["database"] = [_unreachable(error)]
        else:
            of_database = _SERVER_CHECKS | (_TABLE_CHECKS if has_tables else {})
            checks |= {name: check(database, settings) for name, check in of_database.items()}
            checks["connections"] = server.connections(database, usable.settings, processes)
    for name, check in _OTHER_CHECKS.items():
        if name not in _REDIS_CHECKS or "redis_url" not in usable.unusable:
            checks[name] = check(settings)
    progress.begin("checks", len(checks))

    async def run(check: _Check) -> list[CheckResult]:
        outcome = await _within_timeout(check)
        progress.advance()
        return outcome

    outcomes = await asyncio.gather(*map(run, checks.values()))
    results |= zip(checks, outcomes, strict=True)
    timed_out = any(_TIMED_OUT in of_check for of_check in results.values())
    try:
        await asyncio.wait_for(database.close(), TIMEOUT)
    except TimeoutError:
        timed_out = True
    return CheckResults(results, timed_out)


async def _within_timeout(check: _Check) -> list[CheckResult]:
    """Run a check; return a result even if it times out or fails."""
    try:
        async with asyncio.timeout(TIMEOUT):
            return [result async for result in check]
    except TimeoutError:
        return [_TIMED_OUT]
    except SQLAlchemyError as error:
        return [warning(f"the check failed: {error_message(error)}", "See the other results.")]


def _unreachable(error: SQLAlchemyError | OSError) -> CheckResult:
    if isinstance(error, TimeoutError):
        return _TIMED_OUT
    reason = error_message(error)
    advice = "Start PostgreSQL, or correct DATABASE_URL."
    if "unsupported startup parameter" in reason:
        advice = "It is a PgBouncer: set DATABASE_PGBOUNCER=true."
    return wrong(f"DATABASE_URL cannot be reached: {reason}", advice)
