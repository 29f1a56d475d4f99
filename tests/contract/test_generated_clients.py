"""Clients generated from the OpenAPI document compile and work."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.data import Sample, make_sample
from tests.support.factories import Factories

HERE = Path(__file__).parent
PYTHON_CALLS = """
import datetime, json, sys
from uuid import UUID
from invoicing_client import AuthenticatedClient
from invoicing_client.api.credit_notes import credit_notes_list, credit_notes_retrieve
from invoicing_client.api.invoices import (
    invoices_credit, invoices_growth_retrieve, invoices_items_retrieve, invoices_list,
    invoices_paid, invoices_pdf_retrieve,
    invoices_retrieve, invoices_send_notification, invoices_set_backend_id, invoices_stats_list,
)
from invoicing_client.models import (
    BackendIdRequest, CreditItemRequest, CreditRequest, Invoice, InvoiceItem, InvoiceFieldEnum,
    PaidRequest, SparseInvoice,
)

url, key, created, payable = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key, prefix="Token")
invoices = invoices_list.sync(client=client)
assert any(str(invoice.uuid) == created for invoice in invoices), invoices
invoice = invoices_retrieve.sync(UUID(created), client=client)
assert isinstance(invoice, Invoice)
asked = [InvoiceFieldEnum.UUID, InvoiceFieldEnum.TOTAL]
few = invoices_list.sync(client=client, field=asked)
assert isinstance(few[0], SparseInvoice) and few[0].to_dict().keys() == {"uuid", "total"}
items = invoices_items_retrieve.sync(UUID(created), client=client)
assert isinstance(items[0], InvoiceItem) and len(items) == len(invoice.items)
assert items[0].details["note"] == [1]
assert invoices_stats_list.sync(UUID(created), client=client)[0].offering_name
assert len(invoices_growth_retrieve.sync(client=client).periods) == 13
body = BackendIdRequest(backend_id="b")
answer = invoices_set_backend_id.sync_detailed(UUID(created), client=client, body=body)
assert answer.status_code == 200
assert "scheduled" in invoices_send_notification.sync(UUID(created), client=client).detail
paid = invoices_paid.sync(
    UUID(payable), client=client, body=PaidRequest(date=datetime.date(2026, 11, 5))
)
assert paid.state == "paid", paid
part = CreditItemRequest(uuid=paid.items[0].uuid, price="0.01")
body = CreditRequest(reason="A mistake", items=[part])
note = invoices_credit.sync(UUID(payable), client=client, body=body)
assert note.price == "0.01" and note.invoice_number == paid.number, note
whole = invoices_credit.sync(UUID(payable), client=client, body=CreditRequest(reason="All"))
assert [each.number for each in credit_notes_list.sync(client=client)] == [2, 1]
assert credit_notes_retrieve.sync(whole.uuid, client=client) == whole
assert invoices_pdf_retrieve.sync(UUID(payable), client=client).payload.read(5) == b"%PDF-"
"""


async def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a program successfully and return its output."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def schema_of(api_url: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        found: dict[str, Any] = (await client.get(f"{api_url}/api/schema.json")).json()
    return found


def arguments(api_url: str, sample: Sample) -> list[str]:
    return [api_url, sample.staff.key, str(sample.created.uuid), str(sample.payable[0].uuid)]


async def test_openapi_python_client(make: Factories, api_url: str, tmp_path: Path) -> None:
    sample = await make_sample(make)
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(await schema_of(api_url)))
    options = tmp_path / "options.yaml"
    options.write_text(
        "project_name_override: invoicing-client\n"
        "package_name_override: invoicing_client\n"
        "post_hooks: []\n"
        "content_type_overrides:\n"
        "  application/pdf: application/octet-stream\n"
        "  application/xml: application/octet-stream\n"
    )
    output = await run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"),
        *("--meta", "none", "--path", str(schema), "--config", str(options)),
        *("--output-path", str(tmp_path / "invoicing_client")),
        cwd=tmp_path,
    )
    assert "warning" not in output.lower()
    await run(
        *(sys.executable, "-c", PYTHON_CALLS, *arguments(api_url, sample)),
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path),
    )


@pytest.mark.slow
async def test_hey_api_client(make: Factories, api_url: str, tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("Node.js is not on this machine")
    sample = await make_sample(make)
    folder = tmp_path / "client"
    shutil.copytree(HERE / "typescript", folder)
    (folder / "schema.json").write_text(json.dumps(await schema_of(api_url)))
    await run("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    await run("npm", "run", "generate", cwd=folder)
    await run("npm", "run", "check", cwd=folder)
    await run("node", "built/calls.js", *arguments(api_url, sample), cwd=folder)
