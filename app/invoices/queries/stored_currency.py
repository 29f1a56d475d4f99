"""Which currency the database is in, and whether that can change.

It imports nothing that counts: the process above those that serve looks, too.
"""

from dataclasses import dataclass

from sqlalchemy import and_, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.models import DatabaseCurrency, Invoice


class WrongCurrency(Exception):
    """The invoices in the database are in another currency than the setting says."""

    def __init__(self, ours: str, stored: str) -> None:
        super().__init__(
            f"CURRENCY is {ours}, but the invoices in the database are in {stored}:"
            f" set CURRENCY={stored}, or use another database."
        )


@dataclass(frozen=True, slots=True)
class StoredCurrency:
    """The currency of a database."""

    code: str | None
    """None until a process has set it."""
    decimals: int
    is_fixed: bool
    """Whether there are invoices in it, so that it cannot change any more."""

    def require(self, ours: str) -> None:
        """Raise WrongCurrency where the invoices are in another currency than ours."""
        if self.is_fixed and self.code is not None and self.code != ours:
            raise WrongCurrency(ours, self.code)


async def stored_currency(connection: AsyncConnection) -> StoredCurrency:
    """Return the currency of the database."""
    is_fixed = and_(DatabaseCurrency.code.is_not(None), exists(select(Invoice.id)))
    statement = select(DatabaseCurrency.code, DatabaseCurrency.decimals, is_fixed)
    return StoredCurrency(*(await connection.execute(statement)).one())
