#!/usr/bin/env bash
# Polars 2.1.0: the sum of decimals in a group that is larger than the type is a wrong number, without an error.
#
# A column of `Decimal(38, 24)` has room for 14 digits before the point. Seen with two amounts of
# 90,000,000,000,000, whose sum has 15:
# - `Series.sum()` raises a ComputeError, "overflow in decimal addition in sum".
# - `group_by(...).agg(sum)` returns -160282366920938.46346337460743176821146: the 128 bits wrapped around.
# - DuckDB 2.0.1 raises an OutOfRangeException for the same sum, in a group, too.
#
# Here: app/dataio/focus adds the amounts of bills in DuckDB, in parts that have room
# (docs/decisions/0028-engine-of-cost-exports.md); tests/dataio/focus/test_exactness.py compares all sums.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check \
    polars==2.1.0 duckdb==2.0.1

cd "$folder"
seen=$("$folder/venv/bin/python" - <<'PYTHON'
import duckdb
import polars

amounts = polars.DataFrame({"line": [1, 1], "amount": ["90000000000000"] * 2})
amount = polars.col("amount").str.to_decimal(scale=24)
try:
    print("column:", amounts.select(amount.sum()).item())
except polars.exceptions.ComputeError as error:
    print("column:", str(error).splitlines()[0])
print("group:", amounts.group_by("line").agg(amount.sum())["amount"].item())
try:
    print("DuckDB:", duckdb.sql(
        "SELECT sum(CAST(amount AS DECIMAL(38, 24)))"
        " FROM (VALUES (1, '90000000000000'), (1, '90000000000000')) AS t(line, amount) GROUP BY line"
    ).fetchall())
except duckdb.Error as error:
    print("DuckDB:", type(error).__name__)
PYTHON
)
expected='column: overflow in decimal addition in sum
group: -160282366920938.46346337460743176821146
DuckDB: OutOfRangeException'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
