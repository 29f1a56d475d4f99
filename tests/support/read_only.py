"""A database that takes no changes for a while, as an operator makes it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import make_url

from tests.support.databases import administer
from tests.support.warm_connections import close_idle_sessions


async def end_sessions(name: str) -> None:
    """End every session of a database, as a restart of the server does."""
    await administer(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )


@asynccontextmanager
async def made_read_only(
    url: str, *, ending_sessions: bool = True
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Make a database read-only for new sessions; yield a function that reverts it."""
    name = make_url(url).database or ""

    async def reset() -> None:
        await administer(f"ALTER DATABASE {name} RESET default_transaction_read_only")

    await administer(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await close_idle_sessions()  # a session that a test reuses would not be new
    if ending_sessions:
        await end_sessions(name)
    try:
        yield reset
    finally:
        await reset()
