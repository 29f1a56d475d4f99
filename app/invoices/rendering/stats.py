"""The sums of one invoice by offering, rendered."""

from collections.abc import AsyncGenerator, Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.response_format import ResponseFormat
from app.billing import money
from app.invoices.queries.stats import count_offerings, sums_by_offering
from app.invoices.repository.reads import FoundInvoice
from app.invoices.schemas import encode_stats


async def render_stats(
    connection: AsyncConnection,
    *,
    invoice: FoundInvoice,
    provider: UUID | None,
    limit_and_offset: Callable[[int], tuple[int, int]],
    response_format: ResponseFormat,
) -> AsyncGenerator[bytes, None]:
    """Yield a page of the sums.

    `limit_and_offset` finds the page from the number of offerings. It raises if there is no such
    page.
    """
    limit, offset = limit_and_offset(await count_offerings(connection, invoice, provider))
    sums = await sums_by_offering(connection, invoice, provider, limit=limit, offset=offset)
    percent, currency = invoice.tax_percent, response_format.currency
    rows = [
        {
            "offering_name": row.name,
            "aggregated_price": money.round_away_from_zero(row.price, currency),
            "aggregated_tax": money.round_away_from_zero(
                money.tax_on(row.price, percent), currency
            ),
            "aggregated_total": money.round_away_from_zero(
                money.with_tax(row.price, percent), currency
            ),
            "service_category_title": row.title,
            "service_provider_name": row.provider_name,
            "service_provider_uuid": row.provider_uuid,
        }
        for row in sums
    ]
    yield encode_stats(rows, context=response_format.links)
