"""Makes all checks at once, each with a limit of its own, and none in the way of another."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.database.engine import Database
from app.doctor import configuration, privileges, schema, server, services, work
from app.doctor.check_result import CheckResult, warning, wrong
from app.doctor.configuration import Configuration
from app.logging import error_message
from app.settings import Settings

LIMIT: Final = 10.0
"""Seconds that one check may take."""
_REACH: Final = 5
"""Seconds in which the database must be reached."""
_HANGS: Final = wrong(
    f"no answer within {LIMIT:.0f} s", "Look at the other server and the network in between."
)
_OF_DATABASE: Final[dict[str, Callable[[Database, Settings], Awaitable[list[CheckResult]]]]] = {
    "database": server.version,
    "changes": server.changes,
    "encoding": server.encoding,
    "time": server.time,
    "limits": server.pooler,
    "revision": schema.revision,
    "indexes": schema.indexes,
    "triggers": schema.triggers,
    "privileges": privileges.privileges,
    "currency": work.currency,
    "outbox": work.outbox,
    "deliveries": work.deliveries,
    "months": work.months,
    "proofs": work.proofs,
}
_OF_SETTINGS: Final[dict[str, Callable[[Settings], Awaitable[list[CheckResult]]]]] = {
    "redis": services.redis,
    "worker": services.worker,
    "mail": services.mail,
    "disk": work.disk,
}
_OF_REDIS: Final = ("redis", "worker")


@dataclass(frozen=True)
class CheckResults:
    """What all checks told."""

    findings: dict[str, list[CheckResult]]
    hung: bool
    """Whether one was left behind, which may keep the process from ending."""


async def run_checks(found: Configuration, processes: int) -> CheckResults:
    """Make every check that the settings allow; `processes` is how many there are to be."""
    settings = found.settings.model_copy(
        update={"database_pool_timeout": _REACH, "database_pool_size": len(_OF_DATABASE) + 1}
    )
    checks: dict[str, Awaitable[list[CheckResult]]] = {}
    database = Database(settings)
    if "database_url" not in found.unusable:
        unreachable = await _within_limit(_reach(database, settings))
        if unreachable:
            checks["database"] = _told(unreachable)
        else:
            checks |= {name: look(database, settings) for name, look in _OF_DATABASE.items()}
            checks["connections"] = server.connections(database, found.settings, processes)
    for name, look in _OF_SETTINGS.items():
        if name not in _OF_REDIS or "redis_url" not in found.unusable:
            checks[name] = look(settings)
    told = await asyncio.gather(*map(_within_limit, checks.values()))
    findings = {
        "settings": list(configuration.check(found)),
        **dict(zip(checks, told, strict=True)),
    }
    try:
        await asyncio.wait_for(database.close(), LIMIT)
        hung = False
    except TimeoutError:
        hung = True
    return CheckResults(findings, hung or any(_HANGS in told for told in findings.values()))


async def _within_limit(check: Awaitable[list[CheckResult]]) -> list[CheckResult]:
    """Make a check; one that hangs, or fails by itself, is a finding."""
    try:
        return await asyncio.wait_for(check, LIMIT)
    except TimeoutError:
        return [_HANGS]
    except SQLAlchemyError as error:
        reason = error_message(error)
        return [warning(f"could not be looked at: {reason}", "See what else is wrong.")]


async def _reach(database: Database, settings: Settings) -> list[CheckResult]:
    try:
        async with database.reading():
            return []
    except (SQLAlchemyError, OSError) as error:
        reason = error_message(error)
        advice = "Start PostgreSQL, or correct DATABASE_URL."
        if "unsupported startup parameter" in reason:
            advice = "It is a PgBouncer: set DATABASE_PGBOUNCER=true."
        return [wrong(f"DATABASE_URL cannot be reached: {reason}", advice)]


async def _told(findings: list[CheckResult]) -> list[CheckResult]:
    return findings
