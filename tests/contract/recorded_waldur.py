"""The data of the recorded Waldur on which expected responses depend."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from tests.contract.recording import Answer, Exchange

Row = dict[str, Any]
NIL_UUID = "0" * 32
"""Stands for a required UUID without a value."""

_INVOICES = """
SELECT replace(invoice.uuid::text, '-', '') AS uuid, invoice.id + 100000 AS number,
    replace(customer.uuid::text, '-', '') AS customer, customer.vat_code,
    invoice.state, invoice.year, invoice.month, invoice.tax_percent
FROM invoices_invoice AS invoice JOIN structure_customer AS customer ON customer.id = customer_id
ORDER BY invoice.year DESC, invoice.month DESC, invoice.id DESC
"""
_ITEMS = """
SELECT replace(item.uuid::text, '-', '') AS uuid, unit_price, quantity,
    credit_id IS NOT NULL AS credit, replace(invoice.uuid::text, '-', '') AS invoice,
    offering.name AS offering, category.title AS category, seller.name AS seller,
    replace(coalesce(provider.uuid, seller.uuid)::text, '-', '') AS provider
FROM invoices_invoiceitem AS item
JOIN invoices_invoice AS invoice ON invoice.id = invoice_id
LEFT JOIN marketplace_resource AS resource ON resource.id = resource_id
LEFT JOIN marketplace_offering AS offering ON offering.id = resource.offering_id
LEFT JOIN marketplace_category AS category ON category.id = category_id
LEFT JOIN structure_customer AS seller ON seller.id = offering.customer_id
LEFT JOIN marketplace_serviceprovider AS provider ON provider.customer_id = seller.id
"""


@dataclass(frozen=True)
class Facts:
    """Data of Waldur's tables, for the differences that depend on them."""

    invoices: list[Row]
    """In the documented order: newest month first, then by number."""
    items: list[Row]
    without_component: frozenset[int]
    """The ids of plan components whose component was deleted."""
    payments: frozenset[str]
    """The UUIDs of the existing payments."""
    scenarios: Mapping[str, tuple[Exchange, ...]]

    def recorded(self, scenario: str, step: int) -> Answer:
        """Return the recorded response of another exchange."""
        return self.scenarios[scenario][step - 1].answer

    def items_of(self, invoice: str) -> list[Row]:
        """Return the items of an invoice."""
        return [each for each in self.items if each["invoice"] == invoice]

    def stats(self, uuid: str) -> list[Row]:
        """Return the documented stats of an invoice."""
        (tax_percent,) = (each["tax_percent"] for each in self.invoices if each["uuid"] == uuid)
        found: dict[str, Row] = {}
        prices: dict[str, Decimal] = {}
        for item in self.items_of(uuid):
            name = item["offering"]
            if name is None:
                continue
            price = (item["unit_price"] * item["quantity"]).quantize(Decimal("0.01"), ROUND_UP)
            prices[name] = prices.get(name, Decimal(0)) + price
            found[name] = item
        rows = []
        for name, item in sorted(found.items()):
            price = prices[name]
            row: Row = {
                "offering_name": name,
                "aggregated_price": _cents(price),
                "aggregated_tax": _cents(price * tax_percent / 100),
                "aggregated_total": _cents(price + price * tax_percent / 100),
                "service_category_title": item["category"],
                "service_provider_name": item["seller"] or "",
                "service_provider_uuid": item["provider"] or NIL_UUID,
            }
            rows.append(row)
        return rows


def _cents(amount: Decimal) -> float:
    return float(amount.quantize(Decimal("0.01"), ROUND_UP))


async def facts_of(url: str, scenarios: Mapping[str, tuple[Exchange, ...]]) -> Facts:
    """Read the facts from a Waldur database."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            gone = await connection.scalars(
                text("SELECT id FROM marketplace_plancomponent WHERE component_id IS NULL")
            )
            paid = await connection.scalars(text("SELECT uuid::text FROM invoices_payment"))
            return Facts(
                await _rows(connection, _INVOICES),
                await _rows(connection, _ITEMS),
                frozenset(gone),
                frozenset(paid),
                scenarios,
            )
    finally:
        await engine.dispose()


async def _rows(connection: AsyncConnection, statement: str) -> list[Row]:
    return [dict(row) for row in (await connection.execute(text(statement))).mappings()]
