"""A deployment with a currency, for tests of its commands and API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from typer.testing import CliRunner

from app.billing.currencies import get_currency
from app.cli.main import cli
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)


def in_currency(settings: Settings, code: str) -> Settings:
    """Return the settings with another currency."""
    return settings.model_copy(update={"currency": get_currency(code)})


def environment(settings: Settings, currency: str) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.database_url.replace("+asyncpg", ""),
        "REDIS_URL": settings.redis_url,
        "PROOF_DIR": str(settings.proof_dir),
        "MAIL_DIR": str(settings.mail_dir),
        "CURRENCY": currency,
    }


async def run_command(settings: Settings, currency: str, *arguments: str) -> Any:
    # In a thread, since a command runs an event loop of its own.
    return await asyncio.to_thread(
        CliRunner().invoke, cli, arguments, env=environment(settings, currency)
    )


def write_lines(file: Path, *records: dict[str, Any]) -> str:
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


def bill_records(
    *costs: str, state: str = "created", prices: dict[int, str] | None = None
) -> list[dict[str, Any]]:
    """Return the records of an invoice with 10 % of tax and an item for each cost."""
    customer, invoice = str(uuid4()), str(uuid4())
    category, offering = str(uuid4()), str(uuid4())
    issued = {"invoice_date": "2026-11-01", "due_date": "2026-12-01"}
    given = prices or {}
    return [
        {
            "kind": "customer", "uuid": customer, "name": "Ltd", "email": "a@example.com",
            "accounting_start_date": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z",
        },
        {"kind": "category", "uuid": category, "title": "Compute"},
        {
            "kind": "offering", "uuid": offering, "name": "VM", "category": category,
            "created_at": "2026-01-01T00:00:00Z",
        },
        {
            "kind": "payment_profile", "uuid": str(uuid4()), "customer": customer,
            "payment_type": "invoices",
        },
        {
            "kind": "invoice", "uuid": invoice, "customer": customer, "year": 2026, "month": 10,
            "tax_percent": "10", "created": "2026-10-01", "state": state,
            **(issued if state == "created" else {}),
        },
        *(
            {
                "kind": "invoice_item", "uuid": str(uuid4()), "invoice": invoice,
                "name": f"Item {number}", "unit_price": cost, "quantity": "1", "unit": "quantity",
                "start": "2026-10-01T00:00:00Z", "end": "2026-10-31T23:59:59Z",
                "offering": offering,
                **({"price": given[number]} if number in given else {}),
            }
            for number, cost in enumerate(costs)
        ),
    ]  # fmt: skip


@asynccontextmanager
async def staff_client(settings: Settings, make: Factories, currency: str) -> AsyncIterator[Any]:
    """Yield a client of a deployment with a currency, with the token of a staff user."""
    app = create_app(in_currency(settings, currency))
    key = "k" * 40
    await make.token(await make.user(is_staff=True), key)
    async with app.router.lifespan_context(app), client_of(app) as client:
        client.headers["Authorization"] = f"Token {key}"
        yield client


async def import_records(
    settings: Settings, currency: str, tmp_path: Path, records: list[dict[str, Any]]
) -> str:
    """Import records by the command; return the UUID of the invoice."""
    answer = await run_command(
        settings, currency, "import", write_lines(tmp_path / "in.jsonl", *records)
    )
    assert answer.exit_code == 0, answer.stderr
    (invoice,) = (record["uuid"] for record in records if record["kind"] == "invoice")
    return str(invoice)


async def get_json(client: httpx.AsyncClient, path: str, **parameters: Any) -> Any:
    answer = await client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()
