"""CURRENCY cannot change once an invoice exists."""

import asyncio
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from typer.testing import CliRunner

from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import get_currency
from app.billing.enums import InvoiceState
from app.cli.main import cli
from app.database.engine import Database
from app.doctor import work
from app.doctor.check_result import Level
from app.invoices.actions.set_currency import settle_currency, use_currency
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.queries.stored_currency import WrongCurrency, stored_currency
from app.settings import Settings
from tests.cli.currency_deployment import (
    bill_records,
    environment,
    import_records,
    in_currency,
    run_command,
    write_lines,
)
from tests.doctor.results import collect
from tests.support.factories import Factories, Row
from tests.support.paths import ROOT
from tests.support.worker import until, worker_here

pytestmark = pytest.mark.usefixtures("own_logs", "november")


@pytest.mark.parametrize(
    "arguments", [["serve", "--port", "0"], ["worker"], ["run", "--port", "0"]]
)
async def test_a_process_with_another_currency_does_not_start(
    settings: Settings, tmp_path: Path, arguments: list[str]
) -> None:
    await import_records(settings, "EUR", tmp_path, bill_records("1"))
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={**os.environ} | environment(settings, "JPY"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 1
    assert (
        "CURRENCY is JPY, but the invoices in the database are in EUR:"
        " set CURRENCY=EUR, or use another database."
    ) in process.stderr.splitlines()
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("arguments", [["job", "close_month"], ["import", "{file}"]])
async def test_a_command_that_may_add_invoices_refuses_another_currency(
    settings: Settings, connection: AsyncConnection, tmp_path: Path, arguments: list[str]
) -> None:
    await import_records(settings, "EUR", tmp_path, bill_records("1"))
    file = write_lines(tmp_path / "other.jsonl", *bill_records("2"))
    answer = await run_command(settings, "USD", *(each.format(file=file) for each in arguments))
    assert answer.exit_code == 1
    assert "CURRENCY is USD, but the invoices in the database are in EUR" in answer.stderr
    assert (await connection.execute(select(func.count()).select_from(Invoice))).scalar_one() == 1


async def test_the_currency_can_change_until_an_invoice_exists(
    settings: Settings, database: Database, connection: AsyncConnection
) -> None:
    for code in ("EUR", "BHD", "JPY"):
        await settle_currency(database, in_currency(settings, code))
        found = await stored_currency(connection)
        assert (found.code, found.decimals) == (code, get_currency(code).decimals)


async def test_a_database_with_invoices_and_no_currency_adopts_the_setting(
    settings: Settings, database: Database, connection: AsyncConnection, make: Factories
) -> None:
    await make.item(await make.invoice(await make.customer()), "1.234")
    await settle_currency(database, settings)
    assert (await stored_currency(connection)).code == "EUR"
    with pytest.raises(WrongCurrency):
        await settle_currency(database, in_currency(settings, "USD"))


async def test_pending_items_are_rounded_again_when_a_currency_is_adopted(
    settings: Settings, database: Database, connection: AsyncConnection, make: Factories
) -> None:
    customer = await make.customer()
    pending = await make.invoice(customer, tax_percent=Decimal(10))
    await connection.execute(update(Invoice).values(imported_revision=Invoice.revision + 1))
    await make.item(pending, "1234.56")
    issued = await make.invoice(
        await make.customer(), state=InvoiceState.CREATED, tax_percent=Decimal(10)
    )
    await make.item(issued, "1234.56")

    await settle_currency(database, in_currency(settings, "JPY"))

    async def amounts(invoice: Row) -> tuple[Any, ...]:
        statement = (
            select(InvoiceItem.price, Invoice.total_price, Invoice.total_cost)
            .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
            .where(Invoice.id == invoice.id)
        )
        return tuple((await connection.execute(statement)).one())

    assert await amounts(pending) == (1235, 1235, 1359)
    assert await amounts(issued) == (Decimal("1234.56"), Decimal("1234.56"), 1358)
    same = select(Invoice.imported_revision == Invoice.revision).where(Invoice.id == pending.id)
    assert (await connection.execute(same)).scalar_one()


async def test_a_start_in_another_currency_waits_for_a_transaction_with_the_first_invoice(
    settings: Settings, database: Database, make: Factories
) -> None:
    customer = await make.customer()
    await settle_currency(database, settings)
    started = asyncio.Event()

    async def add_the_first_invoice() -> None:
        async with audited_transaction(database, settings.audit_key, Actor("test")) as connection:
            await use_currency(connection, get_currency("EUR"))
            started.set()
            await asyncio.sleep(0.5)
            await Factories(connection).invoice(customer)

    adding = asyncio.create_task(add_the_first_invoice())
    await started.wait()
    with pytest.raises(WrongCurrency):
        await settle_currency(database, in_currency(settings, "JPY"))
    await adding


async def test_a_process_with_an_outdated_currency_adds_no_invoice(
    settings: Settings, database: Database, connection: AsyncConnection, tmp_path: Path
) -> None:
    await import_records(settings, "EUR", tmp_path, bill_records("1"))
    with pytest.raises(WrongCurrency):
        async with audited_transaction(database, settings.audit_key, Actor("test")) as writing:
            await use_currency(writing, get_currency("USD"))


async def test_the_doctor_reports_the_currency(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    (result,) = await collect(work.currency(database, settings))
    assert (result.level, result.message) == (
        Level.WELL, "amounts will be in EUR from the next start on",
    )  # fmt: skip
    await import_records(settings, "EUR", tmp_path, bill_records("1"))
    (result,) = await collect(work.currency(database, settings))
    assert (result.level, result.message) == (Level.WELL, "amounts are in EUR, with 2 decimals")
    (result,) = await collect(work.currency(database, in_currency(settings, "JPY")))
    assert result.level is Level.WRONG
    assert result.message == "CURRENCY is JPY, but the invoices in the database are in EUR"


def test_an_unknown_currency_code_is_refused(settings: Settings) -> None:
    answer = CliRunner().invoke(cli, ["doctor"], env=environment(settings, "XAU"))
    assert "CURRENCY is wrong: XAU is not an ISO 4217 code of a currency with decimals" in (
        answer.stdout + answer.stderr
    )


async def test_a_worker_sets_the_currency_of_the_database_when_it_starts(
    settings: Settings, connection: AsyncConnection, make: Factories
) -> None:
    await make.item(await make.invoice(await make.customer()), "1.234")

    async def is_set() -> bool:
        return (await stored_currency(connection)).code is not None

    async with worker_here(in_currency(settings, "BHD")):
        await until(is_set)
    found = await stored_currency(connection)
    assert (found.code, found.decimals) == ("BHD", 3)
