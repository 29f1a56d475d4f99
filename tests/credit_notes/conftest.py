"""Invoices to credit, and a client that credits them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.settings import Settings
from tests.support.factories import Factories, PayableInvoice, Row, UserRow


@dataclass
class Crediting:
    """Staff who credit invoices through the API."""

    client: httpx.AsyncClient
    connection: AsyncConnection
    staff: UserRow

    async def post(
        self, invoice: Row, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """Credit the invoice; the reason is `A mistake` unless the body has one."""
        return await self.client.post(
            f"/api/invoices/{invoice.uuid}/credit/",
            json={"reason": "A mistake"} | body,
            headers=self.staff.headers | (headers or {}),
        )

    async def credit(self, invoice: Row, **body: Any) -> dict[str, Any]:
        """Credit the invoice and return the credit note."""
        response = await self.post(invoice, **body)
        assert response.status_code == 201, response.text
        note: dict[str, Any] = response.json()
        return note

    async def get(self, path: str) -> httpx.Response:
        """Read a path as staff."""
        return await self.client.get(path, headers=self.staff.headers)

    async def state(self, invoice: Row) -> str:
        """Return the state of the invoice."""
        return str((await self.get(f"/api/invoices/{invoice.uuid}/")).json()["state"])

    async def items(self, invoice: Row) -> list[str]:
        """Return the UUIDs of the items of the invoice in the order of their creation."""
        statement = text("SELECT uuid FROM invoice_items WHERE invoice_id = :id ORDER BY id")
        rows = await self.connection.execute(statement, {"id": invoice.id})
        return [str(uuid) for uuid in rows.scalars()]


@pytest.fixture
async def crediting(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> Crediting:
    return Crediting(client, connection, await make.staff())


Issue = Callable[..., Awaitable[PayableInvoice]]
"""Makes an issued and frozen invoice with one item for each price."""


@pytest.fixture
def issued(make: Factories, connection: AsyncConnection, settings: Settings) -> Issue:
    async def issue(*prices: str, is_paid: bool = False, **values: Any) -> PayableInvoice:
        invoice = await make.payable_invoice(*prices, **values)
        await make.freeze(settings, invoice)
        if is_paid:
            paid = text("UPDATE invoices SET state = 'paid' WHERE id = :id")
            await connection.execute(paid, {"id": invoice.id})
        return invoice

    return issue
