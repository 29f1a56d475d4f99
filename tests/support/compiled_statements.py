"""One cache of compiled statements for all engines of a test process.

An engine has a cache of its own, and most tests have engines of their own: without a common cache
they spend a sixth of their time on compiling the same statements again.
"""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import LRUCache

_COMPILED: LRUCache[Any, Any] = LRUCache(2000)


class _EqualDialect(PGDialect_asyncpg):
    """The dialect of asyncpg, equal to each other instance as a part of the cache's keys."""

    supports_statement_cache = True

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Give the engine the common cache."""
        engine.update_execution_options(compiled_cache=_COMPILED)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _EqualDialect)

    def __hash__(self) -> int:
        return hash(_EqualDialect)


def share_compiled_statements() -> None:
    """Let all engines with the driver asyncpg that are created later share their statements."""
    registry.register("postgresql.asyncpg", __name__, _EqualDialect.__name__)
