"""Reads of the items that a seller sees on the invoices of others: list, count, retrieve."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from app.api.collections import Collection, add_list, add_retrieve
from app.api.pagination import Paging
from app.api.query_parameters import QueryInteger, QueryUuid, orders
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.database.lists import Row
from app.identity.api.authentication import require_user
from app.invoices.api.items import item_filter_set
from app.invoices.queries.item_lists import PROVIDER_INVOICE_ITEMS
from app.invoices.rendering.items import item_row
from app.invoices.schemas import InvoiceItem

router = APIRouter(prefix="/api/provider-invoice-items", tags=["provider-invoice-items"])

_ORDERS: Final = tuple(
    sign + name
    for name in ("invoice_customer_name", "project_name", "resource_offering_name", "unit_price")
    for sign in ("", "-")
)
_UUID_EXAMPLE: Final = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


class ProviderItemParameters(Paging):
    """The parameters of the list of sold items and of its count."""

    customer_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of invoices to this customer."""
    invoice_month: QueryInteger = Field(default=None, examples=[11])
    """Items of invoices for this month, of any year."""
    invoice_year: QueryInteger = Field(default=None, examples=[2026])
    """Items of invoices for this year."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("InvoiceItemOEnum1", sorted(_ORDERS), style="form", explode=False),
    ] = Field(default=(), examples=[["-unit_price"]])
    """Ordering; `-` for descending. Equal items are ordered newest invoice first."""
    offering_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of this offering."""
    project_uuid: QueryUuid = Field(default=None, examples=[_UUID_EXAMPLE])
    """Items of this project."""


def _record(row: Row, _fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    return item_row(row, row["tax_percent"], response_format)


collection: Final = Collection(
    name="provider-invoice-items",
    schema=InvoiceItem,
    rows=PROVIDER_INVOICE_ITEMS,
    require=require_user,
    filter_set=item_filter_set,
    record=_record,
)
add_list(router, collection, ProviderItemParameters, summary="List provider invoice items")
add_retrieve(router, collection, summary="Retrieve provider invoice item")
