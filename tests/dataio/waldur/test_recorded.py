"""Imports of a whole Waldur, of 2024 and of the releases 8, and what follows from them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.database.engine import Database
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.dataio.waldur.importer import import_waldur_database
from app.main import create_app
from app.settings import Settings
from tests.dataio.waldur.conftest import dump
from tests.support.clients import client_of
from tests.support.history import without_history
from tests.support.waldur import Columns, Rows, create_waldur, execute
from tests.support.waldur_recorded import release_8, release_2024

SHARED = Path(os.environ.get("SHARED_DIR", Path(__file__).parents[4] / "shared"))
pytestmark = pytest.mark.skipif(
    not (SHARED / "recorded" / "waldur_columns_8.json").is_file(),
    reason="the folder `shared` with the recorded tables is missing",
)
STAFF_KEY = "18f36fb27d8e342ee4a4565fca4c2627a05d3cdd"
PATHS = (
    "/api/invoices/?page_size=100",
    "/api/invoices/growth/",
    "/api/payments/?page_size=100",
    "/api/payment-profiles/?page_size=100",
    "/api/invoice-items/?page_size=100",
    "/api/customer-credits/?page_size=100",
    "/api/project-credits/?page_size=100",
    "/api/credit-transactions/?page_size=100",
    "/api/financial-reports/?page_size=100",
)
RELEASES = [pytest.param(release_2024, id="2024"), pytest.param(release_8, id="8")]
Release = Callable[[Path], tuple[Columns, Rows]]


@pytest.fixture(params=RELEASES)
async def recorded_waldur(request: pytest.FixtureRequest, empty_database_url: str) -> str:
    """The address of a Waldur database with the recorded rows."""
    release: Release = request.param
    await create_waldur(empty_database_url, *release(SHARED))
    return empty_database_url


@pytest.fixture
def second_settings(settings: Settings, second_database_url: str) -> Settings:
    """The settings of a second, empty database."""
    values: dict[str, Any] = settings.model_dump(exclude_unset=True)
    return Settings(**{**values, "database_url": second_database_url})


async def answers(settings: Settings) -> list[tuple[int, str]]:
    app = create_app(settings)
    headers = {"Authorization": f"Token {STAFF_KEY}"}
    async with app.router.lifespan_context(app), client_of(app) as client:
        given = [await client.get(path, headers=headers) for path in PATHS]
    return [(each.status_code, each.text) for each in given]


async def test_a_whole_waldur_is_imported_caught_up_and_exported(
    recorded_waldur: str,
    database: Database,
    settings: Settings,
    second_settings: Settings,
    tmp_path: Path,
) -> None:
    report = await import_waldur_database(recorded_waldur, database, settings)
    assert (report.new["invoice"], report.new["invoice_item"]) == (78, 927)
    assert (report.new["customer_credit"], report.new["project_credit"]) == (5, 5)
    assert (report.new["payment"], report.new["payment_profile"]) == (9, 10)
    assert {kind for kind, _ in report.skipped} <= {
        *("role", "customer_role", "project_role", "access_subnet", "proof_of_payment"),
        "personal_access_token",
    }
    differences = (
        "SELECT count(*) FROM customer_credits WHERE value <> (SELECT sum(amount)"
        " FROM credit_transactions WHERE customer_credit_uuid = customer_credits.uuid)"
    )
    async with database.reading() as connection:
        assert await connection.scalar(text(differences)) == 0
        before = await dump(connection)
    assert not +(await import_waldur_database(recorded_waldur, database, settings)).new
    async with database.reading() as connection:
        assert await dump(connection) == before

    await execute(
        recorded_waldur,
        "UPDATE invoices_customercredit SET value = value + 1 WHERE id = 1",
        "UPDATE invoices_invoiceitem SET name = 'Renamed' WHERE id = 2001",
    )
    later = await import_waldur_database(recorded_waldur, database, settings)
    assert +later.new == {"credit_transaction": 1}
    assert later.updated["customer_credit"] == 1
    assert later.updated["invoice_item"] == 1

    exported = b"".join([piece async for piece in export_lines(database, settings)])
    file = tmp_path / "export.jsonl"
    file.write_bytes(exported)
    second = Database(second_settings)
    try:
        await import_file(second, second_settings, str(file))
        again = b"".join([piece async for piece in export_lines(second, second_settings)])
    finally:
        await second.close()
    assert without_history(again) == without_history(exported)
    here = await answers(settings)
    assert {status for status, _ in here} == {200}
    assert await answers(second_settings) == here
