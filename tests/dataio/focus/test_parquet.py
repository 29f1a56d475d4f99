"""A Parquet file is the same bill as the CSV file with the same values."""

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dataio.focus.bill_reader import read_bill
from app.dataio.focus.errors import FocusImportError
from tests.dataio.focus.files import BASIC, row, write
from tests.dataio.focus.test_exactness import COLUMNS, ODD_ROWS, ROWS, comparable, read, to_row

TYPES = {
    "BilledCost": "DECIMAL(38, 18)",
    "PricingQuantity": "DOUBLE",
    "BillingPeriodStart": "TIMESTAMP_MS",
    "BillingPeriodEnd": "TIMESTAMP_NS",
    "ChargePeriodStart": "TIMESTAMP",
    "ChargePeriodEnd": "TIMESTAMPTZ",
}


def convert(path: Path, target: Path, types: dict[str, str], columns: str = "*") -> Path:
    """Write a CSV file as Parquet: texts, except for some columns of other types."""
    casts = ", ".join(
        f"CAST(nullif({name}, 'NULL') AS {kind}) AS {name}" for name, kind in types.items()
    )
    replaced = f"REPLACE ({casts})" if casts else ""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    source = (
        f"read_csv('{path}', all_varchar = true, delim = ',', quote = '\"', escape = '\"',"
        " header = true, nullstr = '\x01', max_line_size = 100000)"
    )
    connection.execute(
        f"COPY (SELECT * {replaced} FROM (SELECT {columns} FROM {source}))"
        f" TO '{target}' (FORMAT parquet)"
    )
    connection.close()
    return target


def refusal(path: Path) -> str:
    with pytest.raises(FocusImportError) as caught:
        read_bill([path])
    return str(caught.value)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    rows = [
        row(BilledCost="0.000000800000000000", PricingQuantity="1.234567e-09"),
        row(BilledCost="12345678901.5", PricingQuantity="0.1", ResourceId="NULL"),
        row(BilledCost="-3", PricingQuantity="0.30000000000000004", ChargeDescription="õ"),
    ]
    return write(tmp_path / "costs.csv", rows), tmp_path / "costs.parquet"


def test_typed_columns_are_the_bill_of_the_texts(pair: tuple[Path, Path]) -> None:
    path, target = pair
    assert comparable(read_bill([convert(path, target, TYPES)])) == comparable(read_bill([path]))


def test_a_compressed_copy_is_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    path, target = pair
    packed = tmp_path / "costs.parquet.gz"
    packed.write_bytes(gzip.compress(convert(path, target, {}).read_bytes()))
    assert comparable(read_bill([packed])) == comparable(read_bill([path]))


def test_nested_columns_that_are_not_used_are_ignored(tmp_path: Path) -> None:
    path = write(tmp_path / "costs.csv", [row()])
    columns = "*, MAP {'a': 'b'} AS Tags, [1, 2] AS x_List, {'a': 1} AS x_Struct"
    target = convert(path, tmp_path / "costs.parquet", {}, columns)
    assert comparable(read_bill([target])) == comparable(read_bill([path]))


@pytest.mark.parametrize("value", ["MAP {'a': 'b'}", "[1, 2]", "{'a': 1}"])
def test_a_nested_value_of_a_used_column_is_refused(tmp_path: Path, value: str) -> None:
    path = write(tmp_path / "costs.csv", [row()])
    columns = f"* REPLACE ({value} AS ResourceName)"
    target = convert(path, tmp_path / "costs.parquet", {}, columns)
    assert refusal(target) == "The column ResourceName has lists or structures, not single values."


def test_texts_that_are_not_marked_as_such_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "costs.csv", [row()])
    target = convert(
        path, tmp_path / "costs.parquet", {"ServiceName": "BLOB", "BilledCost": "BLOB"}
    )
    assert comparable(read_bill([target])) == comparable(read_bill([path]))


@pytest.mark.parametrize(
    ("title", "kind", "value", "message"),
    [
        ("BilledCost", "DOUBLE", "nan", 'row 2: BilledCost is not a number: "nan"'),
        ("BilledCost", "DOUBLE", "1e12", 'row 2: BilledCost is too large: "1000000000000.0"'),
        ("BilledCost", "DECIMAL(38, 2)", "NULL", "row 2: BilledCost is empty"),
        (
            "ChargePeriodEnd",
            "TIMESTAMP",
            "infinity",
            "row 2: ChargePeriodEnd is not a date and time",
        ),
        ("ChargePeriodStart", "DATE", "NULL", "row 2: ChargePeriodStart is empty"),
    ],
)
def test_an_invalid_value_is_reported_with_row_and_column(
    tmp_path: Path, title: str, kind: str, value: str, message: str
) -> None:
    path = write(tmp_path / "costs.csv", [row(), row(**{title: value})])
    assert refusal(convert(path, tmp_path / "costs.parquet", {title: kind})).startswith(message)


def test_a_damaged_file_is_refused(pair: tuple[Path, Path]) -> None:
    path, target = pair
    content = convert(path, target, {}).read_bytes()
    target.write_bytes(content[:-20])
    assert "costs.parquet cannot be read" in refusal(target)
    target.write_bytes(content[:100] + bytes(200) + content[300:])
    assert "costs.parquet cannot be read" in refusal(target)
    target.write_bytes(b"PAR1")
    assert "costs.parquet cannot be read" in refusal(target)


def test_a_csv_file_and_its_parquet_copy_have_the_same_charges(pair: tuple[Path, Path]) -> None:
    path, target = pair
    convert(path, target, {})
    with pytest.raises(
        FocusImportError, match=r"3 of the 3 rows .* \(line 2 .* row 1 of the second"
    ):
        read_bill([path, target], allow_equal_rows=False)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists((ROWS | ODD_ROWS).map(to_row), min_size=1, max_size=6))
def test_bills_and_refusals_are_those_of_csv(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    path = write(folder / "costs.csv", rows, COLUMNS)
    fast: Any = read(convert(path, folder / "costs.parquet", {}))
    plain: Any = read(path)
    if isinstance(plain, list):
        assert [line.partition(": ")[2] for line in fast] == [
            line.partition(": ")[2] for line in plain
        ]
    else:
        assert comparable(fast) == comparable(plain)


def test_a_file_without_rows_has_no_charges(tmp_path: Path) -> None:
    target = convert(
        write(tmp_path / "costs.csv", []), tmp_path / "costs.parquet", {}, ", ".join(BASIC)
    )
    assert read_bill([target]).rows == 0
