"""The dialect of all engines of a test process.

An engine has a cache of its own, and most tests have engines of their own: without a common cache
they spend a sixth of their time on compiling the same statements again.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import URL, Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import LRUCache

from tests.support.warm_connections import connect

_COMPILED: LRUCache[Any, Any] = LRUCache(2000)


class _SharedDialect(PGDialect_asyncpg):
    """The dialect of asyncpg, equal to each other instance as a part of the cache's keys."""

    supports_statement_cache = True

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Give the engine the common cache."""
        engine.update_execution_options(compiled_cache=_COMPILED)

    def create_connect_args(self, url: URL) -> tuple[Sequence[str], dict[str, Any]]:
        """Reuse an idle session of an earlier test, or open a new one."""
        arguments, options = super().create_connect_args(url)  # type: ignore[no-untyped-call]  # it has no types
        return arguments, {"async_creator_fn": connect, **options}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SharedDialect)

    def __hash__(self) -> int:
        return hash(_SharedDialect)


def use_shared_dialect() -> None:
    """Let all engines with the driver asyncpg that are created later share their statements."""
    registry.register("postgresql.asyncpg", __name__, _SharedDialect.__name__)
