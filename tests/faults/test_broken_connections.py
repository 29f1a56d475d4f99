"""A client retries a request over cut connections until it has a response."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.invoices.models import Invoice
from app.payments.models import Payment
from tests.support.factories import Factories, Row
from tests.support.proxy import Proxy, http_proxy

PROOF = b"%PDF-1.7\n" + bytes(range(256)) * 1000
HEAD = 400
"""Bytes of the request's head, about; the rest is the body."""


class Payer:
    """Pays an invoice over a proxy, as often as it takes."""

    def __init__(self, proxy: Proxy, headers: dict[str, str]) -> None:
        self.proxy = proxy
        self.headers = headers
        self.tries = 0

    async def try_once(self, invoice: Row) -> httpx.Response | None:
        headers = self.headers | {
            "Idempotency-Key": f"pay {invoice.uuid}",
            "Accept-Encoding": "identity",  # so that its length says where the answer is cut
        }
        # Every try has a connection of its own.
        async with httpx.AsyncClient(base_url=self.proxy.url, headers=headers) as client:
            self.tries += 1
            try:
                return await client.post(
                    f"/api/invoices/{invoice.uuid}/paid/",
                    data={"date": "2026-11-05"},
                    files={"proof": ("p.pdf", PROOF)},
                )
            except httpx.TransportError:
                return None

    async def pay(self, invoice: Row) -> httpx.Response:
        async with asyncio.timeout(60):
            while True:
                answer = await self.try_once(invoice)
                if answer is not None and answer.status_code != 409:
                    return answer
                # 409: the server still works on what the broken connection had brought.
                await asyncio.sleep(0.05)


async def test_a_payment_over_a_cut_connection_is_made_once(
    api_url: str, connection: AsyncConnection, make: Factories, tmp_path: Path
) -> None:
    customer = await make.customer()
    await make.profile(customer)
    staff = await make.staff()
    async with http_proxy(api_url) as proxy:
        payer = Payer(proxy, staff.headers)
        whole = await _created(make, customer, 1)
        answer = await payer.pay(whole)
        length = len(answer.content)
        sent = [0, 1, HEAD // 2, HEAD, HEAD + 200, HEAD + len(PROOF) // 2, HEAD + len(PROOF)]
        received = [0, 1, 100, length // 2, length]
        cuts: list[dict[str, Any]] = [{"next_request_limit": at} for at in sent]
        cuts += [{"next_reply_limit": at} for at in received]
        paid = {whole.id: answer.json()}
        for month, cut in enumerate(cuts, start=2):
            invoice = await _created(make, customer, month)
            for name, value in cut.items():
                setattr(proxy, name, value)
            before = payer.tries
            answer = await payer.pay(invoice)
            assert answer.status_code == 200, (cut, answer.text)
            assert payer.tries > before + 1, cut
            replayed = "idempotent-replayed" in answer.headers
            assert replayed or "next_reply_limit" not in cut, cut
            paid[invoice.id] = answer.json()
        assert proxy.cuts == len(cuts)

    payments = (await connection.execute(select(Payment.__table__))).all()
    assert sorted(payment.invoice_id for payment in payments) == sorted(paid)
    states = (await connection.execute(select(Invoice.id, Invoice.state))).all()
    assert {(row.id, row.state) for row in states} == {(id_, "paid") for id_ in paid}
    assert all(document["state"] == "paid" for document in paid.values())
    on_disk = {file.name: file.read_bytes() for file in (tmp_path / "proofs").iterdir()}
    assert sorted(on_disk) == sorted(payment.proof_key for payment in payments)
    assert {sha256(content).hexdigest() for content in on_disk.values()} == {
        payment.proof_sha256 for payment in payments
    }


async def _created(make: Factories, customer: Row, month: int) -> Row:
    year, month = divmod(month - 1, 12)
    invoice = await make.invoice(
        customer, state=InvoiceState.CREATED, year=2020 + year, month=month + 1
    )
    await make.item(invoice, "100.19")
    return invoice
