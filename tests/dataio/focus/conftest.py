"""Fixtures of the tests of cost exports."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import clock
from app.database.engine import Database
from app.settings import Settings
from tests.dataio.focus.bill_importer import BillImporter


@pytest.fixture
def importer(database: Database, settings: Settings, tmp_path: Path) -> BillImporter:
    clock.freeze(datetime(2026, 10, 15, tzinfo=UTC))
    return BillImporter(database, settings, tmp_path)
