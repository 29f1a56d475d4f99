"""Documents on the wire: HEAD, 304, long XML in parts, and the processes for PDFs of a server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pypdf import PdfReader

from app.settings import Settings
from tests.support.factories import Factories
from tests.support.issued import issue_invoice
from tests.support.server import Server

MANY = 3_000


@asynccontextmanager
async def staff_client(url: str, make: Factories) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a server, for a new staff user."""
    staff = await make.staff()
    async with httpx.AsyncClient(base_url=url, headers=staff.headers, timeout=60) as client:
        yield client


@pytest.fixture
async def client(api_url: str, make: Factories) -> AsyncIterator[httpx.AsyncClient]:
    async with staff_client(api_url, make) as client:
        yield client


def children(server: Server) -> set[Path]:
    """Return the folders in /proc of the processes that the server started."""
    pid = server.process.pid
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return {Path("/proc", child) for tasks in listed for child in tasks.read_text().split()}


async def test_a_pdf_is_made_in_processes_that_end_with_the_server(
    server: Server, make: Factories, settings: Settings
) -> None:
    invoice = await issue_invoice(make, settings, number=100001)
    url = f"/api/invoices/{invoice.uuid}/pdf/"
    async with staff_client(server.url, make) as client:
        head = await client.head(url)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-disposition"] == 'attachment; filename="invoice-100001.pdf"'
        before = children(server)

        responses = await asyncio.gather(*(client.get(url) for _ in range(3)))

        assert {each.status_code for each in responses} == {200}
        (content,) = {each.content for each in responses}
        assert "Invoice 100001" in PdfReader(BytesIO(content)).pages[0].extract_text()
        assert {each.headers["etag"] for each in responses} == {head.headers["etag"]}
        makers = children(server) - before
        assert 1 <= len(makers) <= 2
        current = await client.get(url, headers={"If-None-Match": head.headers["etag"]})
        assert (current.status_code, current.content) == (304, b"")

    server.process.terminate()
    await asyncio.to_thread(server.process.wait, 60)
    async with asyncio.timeout(60):
        while any(each.exists() for each in makers):  # noqa: ASYNC110 - they send no signal here
            await asyncio.sleep(0.05)


async def test_long_xml_comes_in_parts(
    client: httpx.AsyncClient, make: Factories, settings: Settings
) -> None:
    invoice = await issue_invoice(make, settings, *(["1.5"] * MANY))
    url = f"/api/invoices/{invoice.uuid}/ubl/"
    response = await client.get(url, headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200, response.text
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["content-encoding"] == "gzip"
    assert response.content.count(b"<cac:InvoiceLine>") == MANY
    head = await client.head(url)
    assert (head.status_code, head.content) == (200, b"")
    current = await client.get(url, headers={"If-None-Match": head.headers["etag"]})
    assert current.status_code == 304


async def test_a_refused_document_is_an_ordinary_error(
    client: httpx.AsyncClient, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(country="")
    invoice = await issue_invoice(make, settings, *(["1.5"] * 200), customer=customer)
    response = await client.get(f"/api/invoices/{invoice.uuid}/cii/")
    assert response.status_code == 409
    assert response.headers["content-type"] == "application/json"
    assert [each["field"] for each in response.json()["problems"]] == ["country"]
