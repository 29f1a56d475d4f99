"""Two API processes and two workers behind a real nginx, with TLS and a path prefix."""

import asyncio
import json
import os
import re
import ssl
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from uuid import uuid4

import httpx
import pytest
from pydantic_core import Url
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import DeliveryState, InvoiceState
from app.billing.periods import Period
from app.database.base import Base
from app.deliveries.models import Delivery
from app.invoices.models import Invoice
from app.jobs.registry import build_registry
from app.outbox.models import OutboxEntry
from app.payments.models import Payment
from app.settings import Settings
from tests.contract import test_waldur_client
from tests.deploy.gateway import PREFIX, SHIPPED, Gateway, run_nginx
from tests.support.data import make_sample
from tests.support.factories import Factories, Row, UserRow
from tests.support.server import Server, run_server
from tests.support.smtp import MailServer, run_mail_server
from tests.support.worker import until, worker_process

LIMIT = 10 * 1024 * 1024
CUSTOMERS = 6
AT_ONCE = 10
ELSEWHERE, INSIDE = "127.0.0.3", "127.0.0.2"
"""Addresses of this machine that clients call from; the gateway calls from 127.0.0.1."""


@dataclass
class Stack:
    """The running processes, and rows for the tests."""

    apis: list[Server]
    gateway: Gateway
    sink: MailServer
    settings: Settings
    connection: AsyncConnection
    make: Factories
    staff: UserRow

    def client(self, address: str = "127.0.0.1") -> httpx.AsyncClient:
        return self.gateway.client(address, headers=self.staff.headers)

    async def count(self, table: type[Base], *conditions: ColumnElement[bool]) -> int:
        statement = select(func.count()).select_from(table).where(*conditions)
        return (await self.connection.execute(statement)).scalar_one()


@pytest.mark.slow
async def test_two_apis_and_two_workers_behind_nginx(
    settings: Settings,
    connection: AsyncConnection,
    make: Factories,
    tmp_path: Path,
    subtests: pytest.Subtests,
) -> None:
    environment: dict[str, Any] = {
        "DATABASE_URL": settings.database_url,
        "DATABASE_POOL_SIZE": str(settings.database_pool_size),
        "QUEUE_NAME": settings.queue_name,
        "PROOF_DIR": str(settings.proof_dir),
        "TRUSTED_PROXIES": "127.0.0.1",
        "AUDIT_KEY": "0" * 64,
    }
    async with AsyncExitStack() as stack:
        sink = await stack.enter_async_context(run_mail_server())
        servers = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            servers.append(run_server(environment, tmp_path / name))
        apis = await asyncio.gather(*map(stack.enter_async_context, servers))
        addresses = [httpx.URL(api.url).netloc.decode() for api in apis]
        gateway = await stack.enter_async_context(run_nginx(tmp_path, *addresses))
        here = Stack(apis, gateway, sink, settings, connection, make, await make.staff())
        idle = asyncio.create_task(seconds_until_closed(apis[0].url))

        with subtests.test("the client of Waldur works"):
            await waldurs_client_works(here)
        due = await make_due(here)
        to_sink = settings.model_copy(update={"smtp_url": Url(sink.url), "notify_on_issue": True})
        for _ in range(2):  # they start while something else is looked at
            await stack.enter_async_context(worker_process(to_sink, **environment))
        for check in (
            links_lead_through_the_gateway,
            the_documentation_is_below_the_prefix,
            validators_and_codings_pass,
            only_the_api_is_reached,
            nginxs_own_errors_have_the_one_shape,
            proofs_pass_and_too_large_ones_are_told,
            the_address_is_the_clients,
        ):
            with subtests.test(check.__name__):
                await check(here)
        with subtests.test("each job is done once"):
            await each_job_is_done_once(here, due)
        with subtests.test("one API process is killed"):
            await one_api_is_killed(here)
        with subtests.test("nginx lets go of connections before the API does"):
            (kept,) = re.findall(r"keepalive_timeout (\d+)s;", SHIPPED.read_text())
            assert await idle > int(kept)


async def seconds_until_closed(url: str) -> float:
    """Return the seconds that an API process keeps an idle connection."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    started = time.monotonic()
    await reader.read()
    writer.close()
    return time.monotonic() - started


async def waldurs_client_works(here: Stack) -> None:
    sample = await make_sample(here.make)
    facts = await test_waldur_client.facts_of(sample, here.connection)
    done = await asyncio.to_thread(
        test_waldur_client.call_everything,
        here.gateway.url,
        sample,
        facts,
        os.environ | {"SSL_CERT_FILE": str(here.gateway.certificate)},
    )
    assert done.returncode == 0, done.stderr
    served = Counter(line["api"] for line in logged(here.gateway))
    assert all(served[httpx.URL(api.url).netloc.decode()] > 0 for api in here.apis)


def logged(gateway: Gateway) -> list[dict[str, str]]:
    return [json.loads(line) for line in gateway.access_log.read_text().splitlines()]


async def links_lead_through_the_gateway(here: Stack) -> None:
    base = here.gateway.url
    forged = {
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example;proto=http",
    }
    async with here.client() as client:
        for headers in ({}, forged):
            answer = await client.get("/api/invoices/?page=2&page_size=1", headers=headers)
            assert answer.status_code == 200
            pages = re.findall(r"<(.*?)>", answer.headers["Link"])
            assert len(pages) == 4
            assert all(page.startswith(f"{base}/api/invoices/?") for page in pages)
            (invoice,) = answer.json()
            assert invoice["url"] == f"{base}/api/invoices/{invoice['uuid']}/"
            assert invoice["customer"].startswith(f"{base}/api/customers/")
            assert (await client.get(invoice["url"])).json()["uuid"] == invoice["uuid"]
        another = await client.get("/api/invoices/", headers={"Host": "evil.example"})
        assert (another.status_code, list(another.json())) == (421, ["detail"])
        without_slash = await client.get("/api/invoices?page_size=1")
        assert without_slash.status_code == 308
        target = urljoin(str(without_slash.url), without_slash.headers["Location"])
        assert target == f"{base}/api/invoices/?page_size=1"
        assert without_slash.headers.get_list("Strict-Transport-Security") == ["max-age=31536000"]
    async with httpx.AsyncClient() as client:
        plain = await client.get(f"{here.gateway.plain}{PREFIX}/api/invoices/?page=2")
    assert plain.status_code == 308
    assert plain.headers["Location"] == f"https://127.0.0.1{PREFIX}/api/invoices/?page=2"


async def the_documentation_is_below_the_prefix(here: Stack) -> None:
    async with here.client() as client:
        page = await client.get("/api/docs")
        needed = re.findall(r'(?:src|href|url)[=:] ?["\'](.*?)["\']', page.text)
        assert len(needed) >= 4
        for address in needed:
            full = urljoin(str(page.url), address)
            assert full.startswith(f"{here.gateway.url}/api/")
            assert (await client.get(full)).status_code == 200


async def validators_and_codings_pass(here: Stack) -> None:
    tags = set()
    async with here.client() as client:
        for coding in ("identity", "gzip", "zstd"):
            asked = {"Accept-Encoding": coding}
            answer = await client.get("/api/invoices/", headers=asked)
            assert answer.headers.get("Content-Encoding", "identity") == coding
            assert answer.json()
            tag = answer.headers["ETag"]
            assert re.fullmatch(r'"\w+(-gzip|-zstd)?"', tag)
            tags.add(tag)
            again = await client.get("/api/invoices/", headers=asked | {"If-None-Match": tag})
            assert (again.status_code, again.headers["ETag"]) == (304, tag)
            assert "Content-Type" not in again.headers
    assert len(tags) == 3


async def only_the_api_is_reached(here: Stack) -> None:
    inside = ("/health/live", "/health/ready", "/metrics", "/repeatable/api/invoices/", "/", "")
    async with here.client() as client:
        for path in inside:
            for address in (here.gateway.url + path, f"https://{here.gateway.host}{path}"):
                answer = await client.get(address)
                assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
        long = await client.get("/api/invoices/", params={"customer_name": "x" * 20_000})
        assert (long.status_code, list(long.json())) == (414, ["detail"])


async def nginxs_own_errors_have_the_one_shape(here: Stack) -> None:
    path = "/api/invoices/"
    async with here.client() as client:
        for answer, status in (
            (await client.get(f"https://{here.gateway.host}/own/400.json"), 404),
            (await client.request("TRACE", path), 405),
        ):
            assert (answer.status_code, list(answer.json())) == (status, ["detail"])
            assert answer.headers["Content-Type"] == "application/json"
        for answer, status in (
            (await client.head(f"https://{here.gateway.host}{path}"), 404),
            (await client.request("HEAD", path, content=b" " * (13 * 2**20)), 413),
        ):
            assert (answer.status_code, answer.content) == (status, b"")
            assert "Content-Type" not in answer.headers
    message = await answer_to_unknown_coding(here.gateway)
    assert message.startswith(b"HTTP/1.1 501 ")
    assert b"Content-Type: application/json" in message
    assert message.endswith(b'{"detail":"The transfer coding is not supported."}')


async def answer_to_unknown_coding(gateway: Gateway) -> bytes:
    """Send a request that no HTTP client here would send; return the response."""
    host, _, port = gateway.host.partition(":")
    trust = ssl.create_default_context(cafile=gateway.certificate)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=trust)
    writer.write(
        f"POST {PREFIX}/api/invoices/ HTTP/1.1\r\nHost: {gateway.host}\r\n"
        "Transfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n".encode()
    )
    answer = await reader.read()
    writer.close()
    return answer


async def proofs_pass_and_too_large_ones_are_told(here: Stack) -> None:
    customer = await here.make.customer()
    await here.make.profile(customer)
    invoice = await here.make.invoice(customer, Period(2026, 5), InvoiceState.CREATED)
    path = f"/api/invoices/{invoice.uuid}/paid/"
    proof = b"%PDF-1.7\n".ljust(LIMIT, b"\0")
    async with here.client() as client:
        for size, message in (
            (LIMIT + 1, f"The proof is larger than {LIMIT} bytes."),
            (2 * LIMIT, "The request is larger than is taken."),
        ):
            files = {"proof": ("p.pdf", proof.ljust(size, b"\0"))}
            answer = await client.post(path, data={"date": "2026-11-05"}, files=files)
            assert (answer.status_code, answer.json()) == (413, {"detail": message})
        answer = await client.post(
            path, data={"date": "2026-11-05"}, files={"proof": ("p.pdf", proof)}
        )
        assert answer.status_code == 200, answer.text
        of_invoice = select(Payment.uuid).where(Payment.invoice_id == invoice.id)
        payment = (await here.connection.execute(of_invoice)).scalar_one()
        read = await client.get(f"/api/payments/{payment}/proof/")
        assert read.content == proof


async def the_address_is_the_clients(here: Stack) -> None:
    customer = await here.make.customer()
    owner = await here.make.owner(customer)
    await here.make.subnet(customer, f"{INSIDE}/32")
    invoice = await here.make.invoice(customer)
    path = f"/api/invoices/{invoice.uuid}/"
    names = {}
    for address, forged, status in (
        (INSIDE, "", 200),
        (ELSEWHERE, "", 404),
        (ELSEWHERE, INSIDE, 404),
    ):
        name = uuid4().hex
        headers = owner.headers | {"X-Request-ID": name, "X-Forwarded-For": forged}
        async with here.gateway.client(address, headers=headers) as client:
            answer = await client.get(path, params={"field": "number"})
        assert answer.status_code == status
        assert answer.headers["X-Request-ID"] == name
        names[name] = address

    async def all_is_logged() -> bool:
        ours = "".join(api.log.read_text() for api in here.apis)
        theirs = {line["request_id"] for line in logged(here.gateway)}
        return names.keys() <= theirs and all(name in ours for name in names)

    await until(all_is_logged)
    lines = [line for line in logged(here.gateway) if line["request_id"] in names]
    assert {line["request_id"]: line["address"] for line in lines} == names
    assert {line["path"] for line in lines} == {f"{PREFIX}{path}"}


@dataclass
class Due:
    """Work for the workers: invoices to issue at their start, and notifications."""

    pending: list[Row]
    created: list[Row]
    mails: Counter[str]
    """The number of notifications of each recipient."""


async def make_due(here: Stack) -> Due:
    due = Due([], [], Counter())
    for number in range(CUSTOMERS):
        email = f"once-{number}@example.com"
        customer = await here.make.customer(email=email)
        due.pending.append(
            await here.make.invoice(customer, Period.containing(clock.today()).shifted(-1))
        )
        await here.make.item(due.pending[-1])
        for month in (1, 2):
            due.created.append(
                await here.make.invoice(customer, Period(2025, month), InvoiceState.CREATED)
            )
        due.mails[email] = 3
    return due


async def each_job_is_done_once(here: Stack, due: Due) -> None:
    async def all_is_done() -> bool:
        sent = await here.count(
            Delivery,
            Delivery.invoice_id.in_([invoice.id for invoice in (*due.pending, *due.created)]),
            Delivery.state == DeliveryState.SENT,
        )
        is_open = await here.count(OutboxEntry, OutboxEntry.done_at.is_(None))
        return (is_open, sent) == (0, due.mails.total())

    async with here.client() as client:
        answers = await asyncio.gather(
            *(client.post(f"/api/invoices/{each.uuid}/send_notification/") for each in due.created)
        )
    assert {answer.status_code for answer in answers} == {200}
    await until(all_is_done)
    mails = Counter(address for mail in here.sink.mailbox for address in mail.recipients)
    assert {address: mails[address] for address in due.mails} == dict(due.mails)
    # The next time of a job that is due more often than daily may just have come.
    for name, job in build_registry(here.settings).items():
        if 0 < len(job.times) < 10:
            assert await here.count(OutboxEntry, OutboxEntry.job == name) == 1
    ids = [invoice.id for invoice in due.pending]
    issued = await here.count(Invoice, Invoice.id.in_(ids), Invoice.state == InvoiceState.CREATED)
    assert issued == CUSTOMERS
    twice = select(Invoice.customer_id, Invoice.year, Invoice.month).group_by(
        Invoice.customer_id, Invoice.year, Invoice.month
    )
    assert (await here.connection.execute(twice.having(func.count() > 1))).all() == []


async def one_api_is_killed(here: Stack) -> None:
    invoice = await here.make.invoice(await here.make.customer(), Period(2025, 3))
    path = f"/api/invoices/{invoice.uuid}/"
    killed = asyncio.Event()
    answers: Counter[tuple[str, int]] = Counter()

    async def send(client: httpx.AsyncClient, request: httpx.Request) -> None:
        try:
            answer = await client.send(request)
        except httpx.RemoteProtocolError:
            # The process died after the head of its response. nginx cannot take that back.
            assert killed.is_set()
            answer = await client.send(request)
        answers[(request.method, answer.status_code)] += 1

    async def caller(client: httpx.AsyncClient) -> None:
        afterwards = 0
        while afterwards < 10:
            await send(client, client.build_request("GET", path))
            # With a key, a change may be given to the other process, too.
            change = client.build_request(
                "POST",
                f"{path}set_backend_id/",
                json={"backend_id": "b-1"},
                headers={"Idempotency-Key": uuid4().hex},
            )
            await send(client, change)
            afterwards += killed.is_set()

    async with here.client() as client, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(caller(client))
        while answers.total() < 40:  # noqa: ASYNC110 - a counter sets no event
            await asyncio.sleep(0.01)
        killed.set()
        here.apis[0].process.kill()
    assert set(answers) == {("GET", 200), ("POST", 200)}
