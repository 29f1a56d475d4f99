"""Every command that may take long reports its progress."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.main import get_command
from typer.testing import Result

from app.cli import progress as shown_progress
from app.cli.main import COMMANDS, cli
from app.jobs.registry import CLOSE_MONTH, build_registry
from app.progress import Progress
from app.reports.models import SEND_REPORT
from app.settings import Settings
from tests.dataio.focus.files import row, write
from tests.support import waldur_sample, waldur_schema
from tests.support.commands import run_command
from tests.support.factories import Factories
from tests.support.issued import issue_invoice
from tests.support.waldur import create_waldur

LONG = {
    "audit adopt --why upgrade": ["changes", "records"],
    "audit verify": ["entries", "checks"],
    "credit-note check": ["documents"],
    "credit-note document --all --format html -o {folder}": ["documents"],
    "delivery retry {uuid}": ["deliveries"],
    "demo": ["rows"],
    "doctor": ["checks"],
    "document complete --all": ["invoices"],
    "export": ["rows", "checks"],
    "import --format focus --issue {focus}": ["", "invoices"],
    "import {jsonl}": ["bytes"],
    "invoice check": ["documents"],
    "invoice document --all --format html -o {folder}": ["documents"],
    "migrate": ["revisions"],
    "proof copy {folder}": ["proofs"],
    "report": ["rows"],
}
"""Each command that may take longer than two seconds, and the units of its parts."""
JOBS = {
    "bring_year_forward": ["customers"],
    CLOSE_MONTH: ["invoices", "customers"],
    "freeze_issued": ["invoices"],
    "purge_answers": ["rows"],
    "purge_outbox": ["rows"],
    "reconcile_totals": ["invoices", "summaries"],
    "represent_issued": ["invoices", "former parts"],
    "sweep_proofs": ["proofs"],
}
"""The same of each job that may run for hours."""
SHORT = {
    *("audit show", "delivery list", "invoice cancel", "invoice pay", "payment list", "proof get"),
    *("token create", "token list", "token revoke", "user create"),
}
"""Commands on one record or one list: they show the elapsed time alone."""
WITHOUT_DATABASE = {"openapi"}
ENDLESS = {"run", "serve", "worker"}


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The units of the parts that commands begin."""
    begun: list[str] = []

    class Recorded(Progress):
        def begin(self, unit: str, total: float | None = None) -> None:
            begun.append(unit)
            super().begin(unit, total)

    monkeypatch.setattr(shown_progress, "Progress", Recorded)
    return begun


async def call(settings: Settings, arguments: str) -> Result:
    return await asyncio.to_thread(
        run_command,
        *arguments.split(),
        DATABASE_URL=settings.database_url,
        REDIS_URL=settings.redis_url,
        PROOF_DIR=str(settings.proof_dir),
        MAIL_DIR=str(settings.mail_dir),
        AUDIT_KEY=settings.audit_key.get_secret_value(),
    )


def commands() -> set[str]:
    """Return the names of all commands, such as `audit verify`."""
    group: Any = get_command(cli)
    found = set()
    for name in COMMANDS:
        command = group.get_command(None, name)
        found |= {f"{name} {each}" for each in getattr(command, "commands", ())} or {name}
    return found


def test_a_new_command_is_long_or_short() -> None:
    every = commands()
    long = {name for name in every for command in LONG if command.startswith(name)}
    assert every == {*long, "job", *SHORT, *WITHOUT_DATABASE, *ENDLESS}


def test_a_new_job_that_runs_for_hours_reports_its_progress(settings: Settings) -> None:
    registry = build_registry(settings)
    long = {name for name, job in registry.items() if job.time_limit >= timedelta(hours=1)}
    # A report is one mail, after one file of each format.
    assert long == {*JOBS, SEND_REPORT}


@pytest.mark.parametrize("command", [*LONG])
async def test_a_long_command_reports_its_progress(
    command: str, settings: Settings, units: list[str], tmp_path: Path, make: Factories
) -> None:
    if command != "demo":  # it needs an empty database
        await issue_invoice(make, settings, "10", number=7)
    category = {"kind": "category", "uuid": str(uuid4()), "title": "Compute"}
    (tmp_path / "records.jsonl").write_text(json.dumps(category))
    arguments = command.format(
        folder=tmp_path / "documents",
        focus=write(tmp_path / "costs.csv", [row()]),
        jsonl=tmp_path / "records.jsonl",
        uuid=uuid4(),
    )
    await call(settings, arguments)
    assert list(dict.fromkeys(units)) == LONG[command]


async def test_the_import_of_a_waldur_reports_its_progress(
    settings: Settings, units: list[str], empty_database_url: str
) -> None:
    await create_waldur(empty_database_url, waldur_schema.COLUMNS, waldur_sample.rows())
    await call(settings, f"import --format waldur {empty_database_url}")
    assert units == ["rows"]


@pytest.mark.usefixtures("own_logs")
@pytest.mark.parametrize("job", JOBS)
async def test_a_long_job_reports_its_progress(
    job: str, settings: Settings, units: list[str], make: Factories
) -> None:
    await issue_invoice(make, settings, "10", number=7)
    result = await call(settings, f"job {job}")
    assert result.exit_code == 0, result.output
    assert units == JOBS[job]
