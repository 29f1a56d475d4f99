"""A backup of the running service is restored whole, by the scripts that are shipped."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.database.base import Base
from app.dataio.jsonl.importer import import_file
from app.dataio.registry import RECORD_KINDS
from app.invoices.jobs.close_month import close_month
from app.invoices.models import Invoice
from app.local.embedded.binaries import find_postgresql
from app.local.embedded.server import ServerError
from app.main import create_app
from app.payments.models import Payment
from app.settings import Settings
from faults.dataset import Dataset, create_dataset
from faults.load import LoadGenerator
from faults.request_log import Kind
from tests.support.clients import client_of
from tests.support.paths import ROOT
from tests.support.server import run_server

SCRIPTS = ROOT / "deploy"
CUSTOMERS = 8


def _candidates() -> Iterator[Path]:
    with suppress(ServerError):
        yield find_postgresql(None, None).directory
    if found := shutil.which("pg_dump"):
        yield Path(found).parent
    yield from Path("/usr/lib/postgresql").glob("*/bin")


def major_version(program: Path) -> str:
    result = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return result.stdout.split()[2].partition(".")[0]


async def programs(connection: AsyncConnection) -> Path:
    """The folder of pg_dump and the others, of the server's own major version."""
    number: str = (await connection.execute(text("SHOW server_version_num"))).scalar_one()
    major = str(int(number) // 10_000)
    for folder in _candidates():
        program = folder / "pg_dump"
        if program.exists() and await asyncio.to_thread(major_version, program) == major:
            return folder
    pytest.skip(f"there is no pg_dump of PostgreSQL {major}")


class Operator:
    """Calls the scripts for one database and folder of proofs."""

    def __init__(self, programs: Path, url: str, proofs: Path) -> None:
        self.proofs = proofs
        self._environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "DATABASE_URL": url.replace("+asyncpg", ""),
            "PROOF_DIR": str(proofs),
        }

    async def call(self, script: str, *arguments: Path) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [SCRIPTS / script, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )

    async def backup(self, folder: Path) -> Path:
        done = await self.call("backup.sh", folder)
        assert (done.returncode, done.stderr) == (0, "")
        return Path(done.stdout.strip())


async def answers(app: FastAPI, dataset: Dataset) -> dict[str, httpx.Response]:
    """Return the responses of the service for the invoices that the load leaves unchanged."""
    month = dataset.untouched_period
    pages = f"/api/invoices/?year={month.year}&month={month.month}&page_size=3&page="
    paths = [f"/api/invoices/{one.uuid}/" for one in dataset.untouched]
    paths += [f"{pages}{page}" for page in (1, 2)]
    paths += [f"/api/invoices/{dataset.untouched[0].uuid}/{part}/" for part in ("items", "stats")]
    async with client_of(app, headers=dataset.headers) as client:
        given = {path: await client.get(path) for path in paths}
    assert {answer.status_code for answer in given.values()} == {200}
    return given


def paid(load: LoadGenerator) -> dict[UUID | None, str]:
    """The digests of the proofs of the payments that were acknowledged."""
    return {
        operation.invoice: operation.value.split()[1]
        for operation in load.request_log.of(Kind.PAID)
        if operation.acknowledged
    }


async def test_a_backup_under_load_is_restored(
    app: FastAPI,
    settings: Settings,
    connection: AsyncConnection,
    empty_database_url: str,
    tmp_path: Path,
) -> None:
    dataset = create_dataset(CUSTOMERS)
    report = await import_file(app.state.database, settings, str(dataset.write(tmp_path)))
    assert report.rejected_count == 0
    folder = tmp_path / "backups"
    found = await programs(connection)
    operator = Operator(found, settings.database_url, settings.proof_dir)
    (tmp_path / "server").mkdir()
    environment = {"DATABASE_URL": settings.database_url, "PROOF_DIR": str(settings.proof_dir)}
    async with run_server(environment, tmp_path / "server") as server:
        load = LoadGenerator([server.url], dataset)
        async with load.running():
            await load.wait_until_healthy()
            before = paid(load)
            backup = asyncio.create_task(operator.backup(folder))
            while not backup.done() and await load.pay_one():
                pass
            dump = await backup
    assert {attempt.status for _, attempt in load.request_log.attempts()} == {200}
    assert len(paid(load)) > len(before), "nothing was paid during the backup"
    expected = await answers(app, dataset)
    highest = (await connection.execute(select(func.max(Invoice.number)))).scalar_one()

    second = settings.model_copy(
        update={"database_url": empty_database_url, "proof_dir": tmp_path / "restored"}
    )
    other = Operator(found, second.database_url, second.proof_dir)
    done = await other.call("restore.sh", dump)
    assert (done.returncode, done.stderr) == (0, "")
    restored = create_app(second)
    async with restored.router.lifespan_context(restored):
        for path, answer in (await answers(restored, dataset)).items():
            assert answer.content == expected[path].content
            # Under other validators: what was lost must not be taken for what comes in its place.
            assert answer.headers["ETag"] != expected[path].headers["ETag"]
        await payments_are_whole(restored, dataset, before, paid(load))
        summary = await close_month(restored.state.database, second)
        assert summary.counts["opened"] == CUSTOMERS
        async with restored.state.database.reading() as reading:
            statement = select(Invoice.number).where(Invoice.state == InvoiceState.PENDING)
            assert min((await reading.execute(statement)).scalars()) > highest

    # A database that is in use is left alone.
    again = await other.call("restore.sh", dump)
    assert again.returncode != 0
    assert "already exists" in again.stderr

    # The next backup has each proof once, and names each file that changed.
    later = await operator.backup(folder)
    kept = {proof.name for proof in (folder / "proofs").iterdir()}
    assert kept == {proof.name for proof in settings.proof_dir.iterdir()}
    missing, broken = sorted(kept)[:2]
    (folder / "proofs" / missing).unlink()
    (folder / "proofs" / broken).write_bytes(b"%PDF-1.7\n")
    result = await operator.call("verify-backup.sh", later, folder / "proofs")
    assert result.returncode != 0
    assert f"{missing}: FAILED open or read" in result.stdout
    assert f"{broken}: FAILED\n" in result.stdout


async def payments_are_whole(
    app: FastAPI, dataset: Dataset, before: dict[UUID | None, str], after: dict[UUID | None, str]
) -> None:
    """Each payment has its proof, and each that was acknowledged before the backup is there."""
    statement = select(Payment.uuid, Payment.proof_sha256, Invoice.uuid.label("invoice")).join(
        Invoice, Payment.invoice_id == Invoice.id
    )
    in_state = select(Invoice.uuid).where(Invoice.state == InvoiceState.PAID)
    async with app.state.database.reading() as connection:
        payments = (await connection.execute(statement)).all()
        states = set((await connection.execute(in_state)).scalars())
    assert before.keys() <= {payment.invoice for payment in payments} == states
    async with client_of(app, headers=dataset.headers) as client:
        for payment in payments:
            proof = await client.get(f"/api/payments/{payment.uuid}/proof/")
            assert sha256(proof.content).hexdigest() == payment.proof_sha256
            assert after[payment.invoice] == payment.proof_sha256


def test_it_is_told_which_tables_an_export_has() -> None:
    document = (ROOT / "docs" / "operating.md").read_text()
    chapter = document.split("## Backup and restore")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (yes|no|in part)\b", chapter, re.MULTILINE)
    exported = {kind.table.name for kind in RECORD_KINDS}
    assert dict(rows).keys() == Base.metadata.tables.keys()
    assert {table for table, how in rows if how != "no"} >= exported
