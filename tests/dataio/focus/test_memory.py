"""Groups that do not fit into memory go to disk, with the same sums."""

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from app.dataio.focus import engine
from app.dataio.focus.engine import open_engine
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.group_query import group_statement
from app.dataio.focus.sources import open_source
from tests.dataio.focus.files import BASIC

GROUPS = 50_000


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small file with two rows of each of many groups, whose names take 400 MB."""
    path = tmp_path_factory.mktemp("bill") / "costs.parquet"
    values = {title: f"'{cell}'" for title, cell in BASIC.items()} | {
        "BilledCost": "format('0.{:011d}', i * 7919)",
        "ResourceId": f"'vm-' || i % {GROUPS}",
        "ResourceName": f"i % {GROUPS} || repeat('x', 8000)",
    }
    columns = ", ".join(f'{value} AS "{title}"' for title, value in values.items())
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {columns} FROM range({2 * GROUPS}) AS t(i))"
            f" TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)"
        )
    return path


def sum_groups(path: Path) -> tuple[int, int, Decimal]:
    with open_engine() as opened:
        groups = group_statement(open_source(opened, path, "file"))
        ((count, rows, cost),) = opened.query(
            f'SELECT count(*), sum(rows), sum("sum(BilledCost_short_value)") FROM ({groups})'
        )
    return count, int(rows), cost


def test_groups_beyond_memory_have_the_same_sums(bill: Path) -> None:
    exact = Decimal(sum(i * 7919 for i in range(2 * GROUPS))).scaleb(-11)
    assert sum_groups(bill) == (GROUPS, 2 * GROUPS, exact)


def test_without_room_on_disk_the_bill_is_refused(
    bill: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_DISK", "0KB")
    with pytest.raises(FocusImportError, match="cannot be added up"):
        sum_groups(bill)
