"""The import contracts catch a wrong import of each kind."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("child_processes")

ROOT = Path(__file__).parents[1]
PROGRAM = Path(sys.executable).with_name("lint-imports")

WRONG_IMPORTS = {
    "packages": [
        ("app.outbox.repository", "app.invoices.actions.pay"),
        ("app.outbox.repository", "app.invoices.models"),
        ("app.payments.repository", "app.invoices.models"),
        ("app.deliveries.schedule", "app.invoices.models"),
        ("app.invoices.actions.pay", "app.notifications.smtp"),
        ("app.invoices.jobs.close_month", "app.jobs.runner"),
        ("app.notifications.rendering", "app.dataio.loader"),
        ("app.dataio.loader", "app.cli.main"),
        ("app.jobs.runner", "app.main"),
        ("app.server.server", "app.local.embedded"),
        ("app.main", "app.local.demo.loading"),
        ("app.identity.users", "app.audit.models"),
        ("app.customers.models", "app.catalogue.models"),
        ("app.api.errors", "app.identity.users"),
        ("app.database.engine", "app.api.errors"),
        ("app.metrics.jobs", "app.database.engine"),
        ("app.billing.money", "app.settings"),
        ("app.doctor.schema", "app.local.embedded"),
    ],
    "rooms": [
        ("app.invoices.repository", "app.invoices.actions.pay"),
        ("app.invoices.queries.growth", "app.invoices.actions.pay"),
        ("app.invoices.models", "app.invoices.repository"),
        ("app.invoices.actions.pay", "app.invoices.jobs.close_month"),
        ("app.invoices.actions.pay", "app.invoices.api.request_bodies"),
        ("app.invoices.jobs.close_month", "app.invoices.api.router"),
    ],
    "web-framework": [
        ("app.invoices.actions.pay", "fastapi"),
        ("app.jobs.runner", "starlette"),
        ("app.documents.cii", "starlette"),
    ],
    "domain-without-http": [
        ("app.invoices.actions.pay", "app.api.json_response"),
        ("app.invoices.queries.growth", "app.api.serializers"),
    ],
    "routers-without-sql": [
        ("app.invoices.api.router", "sqlalchemy"),
        ("app.invoices.api.action_router", "sqlalchemy"),
    ],
    "billing-is-pure": [
        ("app.billing.money", "sqlalchemy"),
        ("app.billing.periods", "app.database.base"),
    ],
    "documents-are-pure": [
        ("app.documents.requirements", "sqlalchemy"),
        ("app.documents.ubl", "app.database.engine"),
    ],
    "libraries": [
        ("app.invoices.actions.notify", "aiosmtplib"),
        ("app.invoices.rendering.items", "jinja2"),
        ("app.jobs.runner", "typer"),
        ("app.main", "uvicorn"),
        ("app.deliveries.schedule", "arq"),
    ],
}
"""Imports that break each contract: the importing module and the imported one."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the service and its contracts."""
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def _report(checkout: Path, contract: str) -> str:
    """Return the report of one contract; empty if it is kept."""
    checked = subprocess.run(
        [PROGRAM, "--no-logo", "--contract", contract],
        cwd=checkout,
        env={"PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode in (0, 1), checked.stdout + checked.stderr
    return checked.stdout if checked.returncode else ""


@pytest.mark.parametrize("contract", WRONG_IMPORTS)
def test_a_contract_catches_each_wrong_import(checkout: Path, contract: str) -> None:
    for module, imported in WRONG_IMPORTS[contract]:
        path = checkout / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        assert path.exists()
        with path.open("a") as file:
            file.write(f"\nimport {imported}\n")
    report = _report(checkout, contract)
    assert [
        f"{module} -> {imported}"
        for module, imported in WRONG_IMPORTS[contract]
        if f"{module} -> {imported} (" not in report
    ] == []


def test_every_contract_has_wrong_imports() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {each["id"] for each in settings["tool"]["importlinter"]["contracts"]}
    assert contracts == set(WRONG_IMPORTS)
