"""Checks of the hosts that DATABASE_URL names, and of what a failover may lose."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from app.database import replication
from app.database.engine import Database
from app.database.replication import Lag, Server
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.logging import error_message
from app.server_urls import Host, several_hosts, with_host
from app.settings import Settings

_LARGE_LAG_SECONDS: Final = 10.0
_LARGE_LAG_BYTES: Final = 256 * 2**20
_LOSS: Final = "See `What a failover may lose` in docs/operating.md."
_MAKE_SYNCHRONOUS: Final = (
    "Set synchronous_standby_names, as in ANY 1 (*), or let the cluster manager do so"
    f" (Patroni: synchronous_mode). {_LOSS}"
)


async def hosts(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check each of several hosts: whether it answers, its role, its lag and its version."""
    named = several_hosts(settings.database_url)
    if not named:
        return
    answers = await asyncio.gather(*(_find_server(settings, host) for host in named))
    servers = {
        host: each for host, each in zip(named, answers, strict=True) if isinstance(each, Server)
    }
    primaries = [host for host, server in servers.items() if not server.is_standby]
    primary = servers[primaries[0]] if len(primaries) == 1 else None
    for host, answer in zip(named, answers, strict=True):
        if isinstance(answer, Server):
            yield _describe(host, answer, primary)
        else:
            yield warning(
                f"{host} cannot be reached: {answer.rstrip('.')}",
                "Start it, or remove it from DATABASE_URL: until then there is a host less to fail"
                " over to.",
            )
    for problem in _problems_together(servers, primaries):
        yield problem
    if make_url(settings.database_url).query.get("target_session_attrs") == "any":
        yield warning(
            "DATABASE_URL has target_session_attrs=any, which connects to a standby, too",
            "Set target_session_attrs=read-write.",
        )


async def durability(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Check whether a crash or a failover may lose changes that were acknowledged."""
    async with database.reading() as connection:
        server = await replication.find_server(connection)
    if server.is_standby:
        return
    problems = _durability_problems(server)
    for problem in problems:
        yield problem
    if not problems:
        place = "a synchronous standby" if server.synchronous_standby_names else "the server's disk"
        yield well(f"each change is on {place} before it is acknowledged")


def _durability_problems(server: Server) -> list[CheckResult]:
    problems = []
    if not server.fsync:
        problems.append(
            warning(
                "fsync is off, so a crash of the machine may destroy the database",
                "ALTER SYSTEM SET fsync = on, and reload.",
            )
        )
    if server.synchronous_commit == "off":
        problems.append(
            warning(
                "synchronous_commit is off, so a crash may lose changes that were acknowledged",
                "RESET synchronous_commit where it is set (ALTER SYSTEM, DATABASE or ROLE).",
            )
        )
    if not server.standbys and not server.hidden_standbys:
        return problems
    if server.hidden_standbys:
        problems.append(
            warning(
                f"there are {server.hidden_standbys} standbys, whose lag is hidden from the role",
                f"GRANT pg_monitor TO {server.role}.",
            )
        )
    if not server.synchronous_standby_names:
        problems.append(
            warning(
                "no standby is synchronous, so a failover may lose changes that were acknowledged",
                _MAKE_SYNCHRONOUS,
            )
        )
    elif server.synchronous_commit in ("local", "remote_write"):
        problems.append(
            warning(
                f"synchronous_commit is {server.synchronous_commit}, so a failover may lose changes"
                " that were acknowledged",
                f"Set it to on. {_LOSS}",
            )
        )
    elif not server.hidden_standbys and not _synchronous(server):
        problems.append(
            wrong(
                f"no standby matches synchronous_standby_names, {server.synchronous_standby_names},"
                " so commits wait for ever",
                "Start the standby, or correct synchronous_standby_names.",
            )
        )
    return problems


async def _find_server(settings: Settings, host: Host) -> Server | str:
    """Return the state of a host, or why it cannot be reached."""
    url = with_host(settings.database_url, host)
    database = Database(settings.model_copy(update={"database_url": url, "database_pool_size": 1}))
    try:
        async with database.reading() as connection:
            return await replication.find_server(connection)
    except SQLAlchemyError as error:
        return error_message(error)
    finally:
        await database.close()


def _describe(host: Host, server: Server, primary: Server | None) -> CheckResult:
    version = f"PostgreSQL {server.version}"
    if not server.is_standby:
        return well(f"{host} is a primary, {version}")
    if primary is None:
        return well(f"{host} is a standby, {version}")
    if server.system != primary.system:
        return wrong(f"{host} is a standby of another cluster, {version}", "Correct DATABASE_URL.")
    lag = _lag_behind(primary, server)
    message = (
        f"{host} is {_kind(primary, server)} standby, {version},"
        f" {lag.bytes:,} bytes and {lag.seconds:.1f} s behind"
    )
    if server.receives is False:
        return warning(
            f"{message}, and not connected to the primary",
            "Look into its log: it may need a new base backup, or other connection settings.",
        )
    if lag.seconds > _LARGE_LAG_SECONDS or lag.bytes > _LARGE_LAG_BYTES:
        return warning(message, "Look for a slow disk or network, or a long query on the standby.")
    return well(message)


def _lag_behind(primary: Server, standby: Server) -> Lag:
    """Return the lag by positions, which counts what the standby has not received, too."""
    seen = next((each.lag for each in primary.standbys if each.name == standby.name), None)
    seconds = [each.seconds for each in (seen, standby.lag) if each is not None]
    behind = max(primary.position - standby.position, 0)
    return Lag(behind, max(seconds, default=0.0) if behind else 0.0)


def _kind(primary: Server, standby: Server) -> str:
    """Return the kind of a standby with its article: synchronous or not, if it can be seen."""
    states = {each.name: each.sync_state for each in primary.standbys}
    state = states.get(standby.name or "")
    if state is None:
        return "a"
    return "a synchronous" if state in replication.SYNCHRONOUS else "an asynchronous"


def _synchronous(server: Server) -> bool:
    return any(each.sync_state in replication.SYNCHRONOUS for each in server.standbys)


def _problems_together(
    servers: Mapping[Host, Server], primaries: Sequence[Host]
) -> list[CheckResult]:
    names = " and ".join(map(str, primaries))
    if len(primaries) > 1:
        advice = "Stop all but one at once: changes go to the first that answers."
        return [wrong(f"{names} are all primaries", advice)]
    if servers and not primaries:
        return [wrong("no host is a primary", "Promote a standby, or start the primary.")]
    return []
