"""The timeouts of a migration, which limit how long it blocks requests.

A statement that waits for a table's lock blocks all later statements on the table, and one that
holds the lock does so until its transaction ends. Together the timeouts stay within the default of
DATABASE_LOCK_TIMEOUT, after which a request gets a 503.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alembic import op

LOCK_TIMEOUT: Final = "2s"
STATEMENT_TIMEOUT: Final = "3s"


@contextmanager
def without_statement_timeout() -> Iterator[None]:
    """Disable the statement timeout for the statements of a revision within the context.

    Use it only for statements that block no requests, such as filling a column that nothing reads
    yet: a request that needs the locked rows or tables waits until they end.
    """
    op.execute("SET LOCAL statement_timeout = 0")
    yield
    op.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
