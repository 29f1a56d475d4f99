"""What each offering makes of an invoice."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import collate, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.caching.conditional_get import Answers, Selected
from app.api.pagination import Page
from app.billing import money
from app.billing.currencies import Currency, get_currency
from app.catalogue.models import Category, Offering, Resource, ServiceProvider
from app.customers.models import Customer
from app.database.statements import AnySelect
from app.invoices.api.filters import StatsParameters
from app.invoices.models import InvoiceItem
from app.invoices.queries.invoices import OfOneInvoice
from app.invoices.queries.items import offerings_of
from app.invoices.rendering.rows import CODE_POINTS
from app.invoices.repository.reads import FoundInvoice
from app.invoices.schemas import Row, encode_stats

NOBODY = UUID(int=0)
"""The provider of an offering that no customer sells: RFC 9562's nil UUID."""


class InvoiceStats(OfOneInvoice[StatsParameters]):
    """The sums by offering of one invoice."""

    async def select(self, connection: AsyncConnection) -> "_SelectedStats":
        """Find the invoice; raises NotFound."""
        return _SelectedStats(self.answers, await self.find(connection), self.parameters)


@dataclass
class _SelectedStats(Selected):
    answers: Answers
    invoice: FoundInvoice
    parameters: StatsParameters
    headers: dict[str, str] = field(default_factory=dict)
    counted_late = True

    @property
    def made_of(self) -> tuple[object, ...]:
        # The whole query, since the links to other pages repeat it.
        scope = self.answers.request.scope
        return ("stats", self.invoice.version, scope["path"], scope["query_string"])

    async def made(self, connection: AsyncConnection) -> AsyncGenerator[bytes, None]:
        page = await _page_of(connection, self.invoice, self.parameters)
        self.headers = page.headers(self.answers.request, self.answers.links)
        currency = get_currency(self.answers.settings.currency)
        rows = await _rows_of(connection, self.invoice, self.parameters, page, currency)
        yield encode_stats(rows, self.answers.links)


async def _page_of(
    connection: AsyncConnection, invoice: FoundInvoice, parameters: StatsParameters
) -> Page:
    """Return which page is meant; raises NotFound where there is none."""
    sums = _sums(invoice, parameters).subquery()
    counted = await connection.execute(select(func.count()).select_from(sums))
    return Page(parameters, counted.scalar_one())


async def _rows_of(
    connection: AsyncConnection,
    invoice: FoundInvoice,
    parameters: StatsParameters,
    page: Page,
    currency: Currency,
) -> list[Row]:
    """Return a page of sums by offering, ordered by its name."""
    sums = _sums(invoice, parameters).subquery()
    statement = (
        select(
            Offering.name,
            sums.c.price,
            Category.title,
            func.coalesce(Customer.name, "").label("provider_name"),
            func.coalesce(ServiceProvider.uuid, Customer.uuid, NOBODY).label("provider_uuid"),
        )
        .join(sums, sums.c.offering_id == Offering.id)
        .join(Category, Category.id == Offering.category_id)
        .outerjoin(Customer, Customer.id == Offering.customer_id)
        .outerjoin(ServiceProvider, ServiceProvider.customer_id == Customer.id)
        .order_by(collate(Offering.name, CODE_POINTS), Offering.uuid)
        .limit(page.size)
        .offset(page.offset)
    )
    found = await connection.execute(statement)
    return [
        {
            "offering_name": row.name,
            "aggregated_price": money.round_away_from_zero(row.price, currency),
            "aggregated_tax": money.round_away_from_zero(
                money.tax_on(row.price, invoice.tax_percent), currency
            ),
            "aggregated_total": money.round_away_from_zero(
                money.with_tax(row.price, invoice.tax_percent), currency
            ),
            "service_category_title": row.title,
            "service_provider_name": row.provider_name,
            "service_provider_uuid": row.provider_uuid,
        }
        for row in found
    ]


def _sums(invoice: FoundInvoice, parameters: StatsParameters) -> AnySelect:
    """Return the sum of item prices by offering; items that have no offering are left out."""
    offering_id = func.coalesce(Resource.offering_id, InvoiceItem.offering_id)
    statement = (
        select(offering_id.label("offering_id"), func.sum(InvoiceItem.price).label("price"))
        .select_from(InvoiceItem)
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .where(InvoiceItem.invoice_id == invoice.id, offering_id.is_not(None))
        .group_by(offering_id)
    )
    if parameters.provider_uuid:
        statement = statement.where(offering_id.in_(offerings_of(parameters.provider_uuid)))
    return statement
