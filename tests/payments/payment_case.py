"""A payment with a proof, in tests of the failures of the store."""

from dataclasses import dataclass
from typing import Self

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.models import Invoice
from app.payments.models import Payment
from tests.support.factories import Factories, Row

PROOF = b"%PDF-1.7\n" + bytes(range(256)) * 8000
UNAVAILABLE = {"detail": "Proofs of payment are not available now. Try again."}


@dataclass
class PaymentCase:
    """An invoice that a client wants to pay with a proof."""

    client: httpx.AsyncClient
    connection: AsyncConnection
    invoice: Row

    @classmethod
    async def prepare(
        cls, client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
    ) -> Self:
        customer = await make.customer()
        await make.profile(customer)
        invoice = await make.invoice(customer, state=InvoiceState.CREATED)
        client.headers.update((await make.staff()).headers)
        return cls(client, connection, invoice)

    async def pay(self, proof: bytes = PROOF) -> httpx.Response:
        return await self.client.post(
            f"/api/invoices/{self.invoice.uuid}/paid/",
            data={"date": "2026-11-05"},
            files={"proof": ("p.pdf", proof)},
            headers={"Idempotency-Key": "one payment"},
        )

    async def is_refused(self, proof: bytes = PROOF) -> None:
        """See that the payment is refused for now, that nothing has changed, and reads go on."""
        answer = await self.pay(proof)
        assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
        assert int(answer.headers["retry-after"]) > 0
        assert (await self.connection.execute(select(Payment.id))).all() == []
        assert (await self.connection.execute(select(Invoice.state))).scalar_one() == "created"
        assert (await self.client.get("/api/invoices/")).status_code == 200

    async def is_taken(self) -> dict[str, bytes]:
        """See that the same request succeeds; return the content of its proof by its key."""
        answer = await self.pay()
        assert answer.status_code == 200, answer.text
        keys = (await self.connection.execute(select(Payment.proof_key))).scalars()
        return {str(key): PROOF for key in keys}
