"""`python -m app job`, as an operator calls it."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

from app.billing.enums import InvoiceState
from app.cli.main import cli
from app.invoices.models import Invoice
from app.settings import Settings
from tests.support.factories import Factories, Row

pytestmark = pytest.mark.usefixtures("own_logs")


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.database_url.replace("+asyncpg", ""),
        "REDIS_URL": f"unix://{tmp_path}/nothing.sock",
        "PROOF_DIR": str(settings.proof_dir),
        "MAIL_DIR": str(settings.mail_dir),
    }


async def job(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    # In a thread, since a command runs an event loop of its own.
    answer = await asyncio.to_thread(CliRunner().invoke, cli, ["job", *arguments], env=environment)
    return answer.exit_code, answer.stdout, answer.stderr


async def state(connection: AsyncConnection, invoice: Row) -> str:
    return (
        await connection.execute(select(Invoice.state).where(Invoice.id == invoice.id))
    ).scalar_one()


async def test_the_jobs_are_listed(environment: dict[str, str]) -> None:
    code, out, _ = await job(environment, "list")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == {
        "deliver",
        "notify",
        "close_month",
        "bring_year_forward",
        "freeze_issued",
        "represent_issued",
        "merge_tallies",
        "reconcile_totals",
        "sweep_proofs",
        "purge_outbox",
        "purge_answers",
        "send_report",
        "monthly_reports",
    }


async def test_a_month_is_closed_by_hand(
    make: Factories, connection: AsyncConnection, environment: dict[str, str]
) -> None:
    here = await make.invoice(await make.customer(), state=InvoiceState.PENDING)
    imported = await make.invoice(await make.customer(), source="focus")
    for invoice in (here, imported):
        await make.item(invoice)
    # October 2026 must be past whatever the machine's clock says.
    await connection.execute(text("UPDATE invoices SET year = 2020"))
    code, out, _ = await job(environment, "close_month")
    assert code == 0
    assert out.splitlines()[-1] == "close_month: issued: 1, opened: 2."
    assert [await state(connection, row) for row in (here, imported)] == ["created", "pending"]
    code, out, _ = await job(environment, "close_month", "--include-imported")
    assert (code, out.splitlines()[-1]) == (0, "close_month: issued: 1.")
    assert await state(connection, imported) == "created"


async def test_a_failed_job_says_why_and_ends_with_1(
    make: Factories, connection: AsyncConnection, environment: dict[str, str]
) -> None:
    await make.invoice(await make.customer())
    await connection.execute(text("UPDATE invoices SET year = 2020"))
    await connection.execute(
        text("ALTER TABLE invoices ADD CONSTRAINT never CHECK (state = 'pending') NOT VALID")
    )
    code, out, err = await job(environment, "close_month")
    assert code == 1
    assert "close_month: opened: 1." in out
    assert err.splitlines()[-2].startswith("invoice 100001: ")
    assert err.splitlines()[-1] == "1 failed."


async def test_drift_is_told(
    make: Factories, connection: AsyncConnection, environment: dict[str, str]
) -> None:
    await make.invoice(await make.customer())
    await connection.execute(text("UPDATE invoices SET total_price = 7"))
    code, out, _ = await job(environment, "reconcile_totals")
    assert code == 0
    assert out.splitlines()[-2:] == [
        "reconcile_totals: repaired: 1.",
        "  invoice 100001 had total_price 7 instead of 0, total_cost 8.4 instead of 0",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tidy"], "There is no job tidy; there are deliver, notify, close_month"),
        (["notify"], "notify: missing a required"),
        (["notify", "uuid"], "Give each argument as NAME=VALUE, for example invoice=UUID."),
        (["notify", "nothing=1"], "notify: missing a required"),
        (["purge_outbox", "a=b"], "purge_outbox: got an unexpected keyword argument 'a'."),
        (["purge_outbox", "--include-imported"], "--include-imported and --notify-imported apply"),
    ],
)
async def test_a_wrong_argument_ends_with_2(
    environment: dict[str, str], arguments: list[str], complaint: str
) -> None:
    code, _, err = await job(environment, *arguments)
    assert code == 2
    assert err.startswith(complaint)


async def test_a_database_that_is_away_is_told_in_a_line(environment: dict[str, str]) -> None:
    away = environment | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
    code, _, err = await job(away, "purge_outbox")
    assert code == 1
    assert err.startswith("The database postgresql")
    assert err.count("\n") == 1


async def test_a_text_that_is_no_uuid_is_refused(environment: dict[str, str]) -> None:
    code, _, err = await job(environment, "deliver", "delivery=x")
    assert (code, err.splitlines()[-1]) == (1, "'x' is not a UUID.")


async def test_an_invoice_that_is_not_there(environment: dict[str, str]) -> None:
    absent = "11111111-1111-4111-8111-111111111111"
    code, _, err = await job(environment, "notify", f"invoice={absent}")
    assert (code, err.splitlines()[-1]) == (1, f"There is no invoice {absent}.")
