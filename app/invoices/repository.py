"""Invoices that a caller may see: every select of a request starts here."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.vocabulary import InvoiceState
from app.database.statements import AnySelect
from app.http.errors import NotFound
from app.http.pagination import Page
from app.http.parameters import to_uuid
from app.identity.access import visible_customers
from app.identity.caller import Caller
from app.invoices.filters import (
    CountParameters,
    InvoiceFilters,
    ListParameters,
    RetrieveParameters,
    conditions,
    ordering,
)
from app.invoices.representation import complete, invoice_statement
from app.invoices.schemas import Row
from app.invoices.tables import Invoice
from app.settings import Settings

NO_INVOICE = "No Invoice matches the given query."


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """What an operation on one invoice needs to know of it at first."""

    id: int
    customer_id: int
    state: InvoiceState
    tax_percent: Decimal


class InvoiceRepository:
    """The invoices of one caller, over one connection."""

    def __init__(self, connection: AsyncConnection, caller: Caller) -> None:
        self._connection = connection
        self._caller = caller

    def visible(self, filters: InvoiceFilters) -> list[ColumnElement[bool]]:
        """Return the conditions of what the caller may see and the filters match."""
        now = clock.now()
        seen = visible_customers(Invoice.customer_id, self._caller, now)
        return [seen, *conditions(filters, now)]

    def _named(self, statement: AnySelect, uuid: str, filters: InvoiceFilters) -> AnySelect:
        """Narrow a statement to one invoice; raises NotFound for what is no UUID."""
        parsed = to_uuid(uuid)
        if parsed is None:
            raise NotFound(NO_INVOICE)
        return statement.where(Invoice.uuid == parsed, *self.visible(filters))

    async def find(self, uuid: str, filters: InvoiceFilters) -> FoundInvoice:
        """Return what is first needed of an invoice.

        Raises NotFound where there is none, the caller may not see it, or it does not match.
        """
        columns = select(Invoice.id, Invoice.customer_id, Invoice.state, Invoice.tax_percent)
        statement = self._named(columns, uuid, filters)
        found = (await self._connection.execute(statement)).one_or_none()
        if found is None:
            raise NotFound(NO_INVOICE)
        return FoundInvoice(
            found.id, found.customer_id, InvoiceState(found.state), found.tax_percent
        )

    async def retrieve(self, uuid: str, parameters: RetrieveParameters, settings: Settings) -> Row:
        """Return one invoice with the fields asked for; raises NotFound as `find` does."""
        statement = self._named(invoice_statement(parameters.field), uuid, parameters)
        found = (await self._connection.execute(statement)).mappings().all()
        if not found:
            raise NotFound(NO_INVOICE)
        return (await complete(self._connection, settings, found, parameters.field))[0]

    async def count(self, filters: InvoiceFilters) -> int:
        """Return how many invoices there are."""
        statement = select(func.count()).select_from(Invoice).where(*self.visible(filters))
        return (await self._connection.execute(statement)).scalar_one()

    async def page(self, parameters: CountParameters) -> Page:
        """Return which page is meant; raises NotFound where there is none."""
        return Page(parameters, await self.count(parameters))

    async def list(self, parameters: ListParameters, settings: Settings) -> tuple[Page, list[Row]]:
        """Return a page of invoices; raises NotFound where there is none."""
        page = await self.page(parameters)
        if not page.count:
            return page, []
        order = ordering(parameters.o)
        # First only the numbers, which an index has in the default order: a late page then costs
        # no look at the rows before it.
        numbers = (
            select(Invoice.number)
            .where(*self.visible(parameters))
            .order_by(*order)
            .limit(page.size)
            .offset(page.offset)
        )
        statement = (
            invoice_statement(parameters.field).where(Invoice.number.in_(numbers)).order_by(*order)
        )
        found = (await self._connection.execute(statement)).mappings().all()
        return page, await complete(self._connection, settings, found, parameters.field)
