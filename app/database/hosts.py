"""Connections to a database of several hosts, of which one is the primary.

The driver asks one host after the other. One that does not answer, as a machine that is gone, would
take all the time that a connection may take, while the next host is the primary already.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no types
from sqlalchemy import make_url

from app.logging import error_message
from app.server_urls import Host, several_hosts

PATIENCE: Final = 0.3
"""Seconds without an answer after which further hosts are asked, or the same ones once more."""
_ERRORS: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)
_STARTING: Final = "57P03"


def connect_args(url: str) -> dict[str, Any]:
    """Return the connection arguments that a URL with several hosts needs; none for another."""
    hosts = several_hosts(url)
    if not hosts or make_url(url).query.get("target_session_attrs") == "prefer-standby":
        return {}  # the driver must ask all hosts before it takes a primary
    return {"async_creator_fn": HostSelector(hosts).connect}


class HostSelector:
    """Connects to a host that has the required role; the host of the last connection goes first."""

    def __init__(self, hosts: tuple[Host, ...]) -> None:
        self._hosts = hosts

    async def connect(
        self,
        *,
        timeout: float = 60,  # noqa: ASYNC109 - the driver's
        **options: Any,
    ) -> asyncpg.Connection:
        """Return a connection; the arguments are the driver's.

        While a host does not answer, those that have refused are asked again: one of them may be
        promoted meanwhile. Raises the driver's errors, and TimeoutError.
        """
        asked: dict[asyncio.Task[asyncpg.Connection], Host] = {}
        refusals: dict[Host, Exception] = {}
        to_ask = list(self._hosts)
        try:
            async with asyncio.timeout(timeout):
                while to_ask or asked:
                    if to_ask:
                        next_host = to_ask.pop(0)
                        asked[asyncio.create_task(_connect(next_host, options))] = next_host
                    done, _ = await asyncio.wait(
                        asked, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        answering = asked.pop(task)
                        try:
                            connection = task.result()
                        except _ERRORS as error:
                            refusals[answering] = error
                        else:
                            self._prefer(answering)
                            return connection
                    if not done and not to_ask:
                        to_ask = [each for each in refusals if each not in asked.values()]
            raise _combine(refusals)
        finally:
            await _abandon(asked)

    def _prefer(self, host: Host) -> None:
        self._hosts = (host, *(each for each in self._hosts if each != host))


async def _connect(host: Host, options: Mapping[str, Any]) -> asyncpg.Connection:
    return await asyncpg.connect(**{**options, "host": host.name, "port": host.port})


async def _abandon(asked: Mapping[asyncio.Task[asyncpg.Connection], Host]) -> None:
    for task in asked:
        task.cancel()
    for connection in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(connection, asyncpg.Connection):  # it came in the same moment as another
            connection.terminate()


def _combine(refusals: Mapping[Host, Exception]) -> Exception:
    """Return the refusal that says most: of a server, of its role, or of the network."""
    for error in refusals.values():
        if getattr(error, "sqlstate", _STARTING) != _STARTING:
            return error
    reasons = "; ".join(f"{host}: {_reason(error)}" for host, error in refusals.items())
    if any(isinstance(each, asyncpg.TargetServerAttributeNotMatched) for each in refusals.values()):
        mismatch: Exception = asyncpg.TargetServerAttributeNotMatched(reasons)
        return mismatch
    return ConnectionError(reasons)


def _reason(error: Exception) -> str:
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "it has another role"
    return error_message(error)
