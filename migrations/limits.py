"""How long a migration may hold up the requests that are served meanwhile.

A statement that waits for a table's lock makes everyone wait who comes after it, and one that has
the lock does so until its transaction ends. Together these stay within the default of
DATABASE_LOCK_TIMEOUT, after which a request is answered with 503.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alembic import op

LOCK_TIMEOUT: Final = "2s"
STATEMENT_TIMEOUT: Final = "3s"


@contextmanager
def without_statement_timeout() -> Iterator[None]:
    """Let the statements within, in a revision, take as long as they need.

    Only for what holds nobody up, such as filling a column that nobody reads yet: what waits for
    the rows or tables that they lock waits for as long.
    """
    op.execute("SET LOCAL statement_timeout = 0")
    yield
    op.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
