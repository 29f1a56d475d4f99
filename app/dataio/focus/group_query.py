"""The statements by which DuckDB groups the rows of a file, and adds up their amounts.

Rows with equal cells in all columns but those of times and amounts are one group. Python parses the
cells of a group as those of a row: the rules of cells stand there alone. Of every single row only
the times and amounts are parsed here, where they have a usual form. A row with any other form, or
with an invalid value, is counted as odd, and the file is then read row by row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final

from app.dataio.focus import cells, column_names
from app.dataio.focus.charge_groups import EXACT_ARITHMETIC
from app.dataio.focus.sources import TEXT, Source

COST: Final = "BilledCost"
QUANTITIES: Final = ("PricingQuantity", "ConsumedQuantity")
TIMES: Final = ("ChargePeriodStart", "ChargePeriodEnd")
KEYS: Final = (
    *column_names.PROVIDERS,
    *(
        name
        for name, _ in column_names.FIELDS.values()
        if name not in (*column_names.PROVIDERS, *TIMES, COST, *QUANTITIES)
    ),
)
"""The columns whose cells the rows of a group have in common."""

_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MIN_TIME: Final = (_FIRST - _EPOCH) // _MICROSECOND
_MAX_TIME: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_CLOCK: Final = "([01][0-9]|2[0-3]):[0-5][0-9]"
_TIME: Final = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]{_CLOCK}(:[0-5][0-9](\.[0-9]{{1,6}})?)?"
_UTC_TIME: Final = f"{_TIME}( UTC|Z)?)?"
_OFFSET_TIME: Final = f"{_TIME}[+-]{_CLOCK})"

_SHORT_SCALE: Final = 24
_SHORT: Final = r"[+-]?[0-9]{1,6}(\.[0-9]{0,24})?|[+-]?[0-9](\.[0-9]{0,16})?[eE]-0?[0-8]"
"""Numbers below 10^6 with at most 24 decimals: exact as DECIMAL(38, 24), and so is the sum of 10^8
of them. DuckDB raises an error for a larger sum."""
_NUMBER_PARTS: Final = r"^([+-]?)([0-9]*)\.?([0-9]*)(?:[eE]([+-]?[0-9]+))?$"
_LONG_WIDTH: Final = cells.QUANTITY_DIGITS + cells.MAX_DECIMALS
_PART: Final = cells.MAX_DECIMALS // 2
_LONG_PARTS: Final = (
    (2, cells.QUANTITY_DIGITS, 0),
    (2 + cells.QUANTITY_DIGITS, _PART, -_PART),
    (2 + cells.QUANTITY_DIGITS + _PART, _PART, -2 * _PART),
)
"""The parts in which longer numbers are added up, after the sign: the 30 digits before the point
and twice 20 after it. For each its first digit, its number of digits and its exponent. As HUGEINT
of 38 digits, a part has room for the sum of 10^8 rows."""


@dataclass(frozen=True)
class GroupColumns:
    """The groups of a file: columns with a value for each group."""

    cells: Mapping[str, Sequence[str | None]]
    """By the names of those `KEYS` that the file has; not parsed yet."""
    rows: Sequence[int]
    """The number of rows of each group."""
    first_starts: Sequence[datetime]
    last_starts: Sequence[datetime]
    last_ends: Sequence[datetime]
    sums: Mapping[str, Sequence[Decimal | None]]
    """Of the cost and the quantities that the file has. None if no row has one."""


def group_statement(source: Source) -> str:
    """Return the statement whose rows `parse_groups` takes.

    Its rows have the cells of the keys, the number of rows, the number of odd rows, three times and
    the sums of the amounts.
    """
    keys, amounts = _present(source, KEYS), _present(source, (COST, *QUANTITIES))
    used = [source.positions[name] for name in (*keys, *TIMES, *amounts)]
    key_columns = ", ".join(_column(source, name) for name in keys)
    texts = [f"{_text(source, name)} AS {name}" for name in amounts]
    times = [f"{_time(source, name)} AS {name}" for name in TIMES]
    is_short = [f"regexp_full_match({name}, '{_SHORT}') AS {name}_short" for name in amounts]
    start, end = TIMES
    odd = [f"{start} IS NULL OR {end} IS NULL OR {end} < {start}", *map(_is_invalid, amounts)]
    shown_keys = ", ".join(
        f"CAST({_column(source, name)} AS {TEXT}) AS k{i}" for i, name in enumerate(keys)
    )
    return f"""
WITH cells AS (SELECT {key_columns}, {_list(texts)}, {_list(times)} FROM {source.table(used)}),
tested AS (SELECT *, {_list(is_short)} FROM cells),
parts AS (SELECT *, {_list(map(_parts, amounts))} FROM tested),
digits AS (SELECT *, {_list(map(_digits, amounts))} FROM parts),
charges AS (
    SELECT *, {_list(map(_values, amounts))}, {_corrected_month(source)} AS corrected_month
    FROM digits
),
groups AS (
    SELECT {key_columns}, count(*) AS rows, count(*) FILTER ({" OR ".join(odd)}) AS odd,
        min({start}) AS first_start, max({start}) AS last_start, max({end}) AS last_end,
        {_list(map(_sums, amounts))}
    FROM charges GROUP BY {key_columns}, corrected_month
)
SELECT {shown_keys}, * EXCLUDE ({key_columns}) REPLACE (
    odd + CAST(coalesce(first_start < {_MIN_TIME} OR last_end > {_MAX_TIME}, false) AS INTEGER)
    AS odd
) FROM groups
"""  # noqa: S608 - made of positions and constants


def find_odd_groups(
    source: Source, rows: Sequence[tuple[Any, ...]]
) -> tuple[Sequence[tuple[Any, ...]], bool, bool]:
    """Return the groups with a cell, whether there are others, and whether one has an odd row.

    `rows` are the result of `group_statement`. A group without a cell, as of empty lines, has odd
    rows.
    """
    keys = len(_present(source, KEYS))
    if not any(row[keys + 1] for row in rows):
        return rows, False, False
    filled = [row for row in rows if any(row[:keys])]
    return filled, len(filled) < len(rows), any(row[keys + 1] for row in filled)


def parse_groups(source: Source, rows: Sequence[tuple[Any, ...]]) -> GroupColumns:
    """Return the groups in the result of `group_statement`, which has at least one."""
    keys, amounts = _present(source, KEYS), _present(source, (COST, *QUANTITIES))
    columns = list(zip(*rows, strict=True))
    counts, _, *times = columns[len(keys) : len(keys) + 5]
    sums = columns[len(keys) + 5 :]
    width = 1 + len(_LONG_PARTS)
    first_starts, last_starts, last_ends = ([*map(_moment, column)] for column in times)
    return GroupColumns(
        dict(zip(keys, columns, strict=False)),
        counts,
        first_starts,
        last_starts,
        last_ends,
        {name: _totals(sums[i * width : (i + 1) * width]) for i, name in enumerate(amounts)},
    )


def blank_statement(source: Source) -> str:
    """Return a statement that counts the rows with no cell of `KEYS` and with another one."""
    used = range(len(source.titles))
    known = [source.positions[name] for name in KEYS if name in source.positions]
    others = [i for i in used if i not in known]
    is_blank = " AND ".join(_is_empty(f"c{i}") for i in known)
    has_others = " OR ".join(f"NOT ({_is_empty(f'c{i}')})" for i in others)
    table = source.table(used)
    return f"SELECT count(*) FROM {table} WHERE {is_blank} AND ({has_others})"  # noqa: S608


def _corrected_month(source: Source) -> str:
    """Return the expression of the start of the month that a correction corrects."""
    if "ChargeClass" not in source.positions:
        return "NULL"
    given = f"CAST({_column(source, 'ChargeClass')} AS {TEXT}) NOT IN ('', 'NULL')"
    return f"CASE WHEN {given} THEN date_trunc('month', make_timestamp({TIMES[0]})) END"


def _present(source: Source, names: Iterable[str]) -> list[str]:
    return [name for name in names if name in source.positions]


def _list(expressions: Iterable[str]) -> str:
    return ", ".join(expressions)


def _column(source: Source, name: str) -> str:
    return f"c{source.positions[name]}"


def _is_empty(column: str) -> str:
    return f"coalesce(CAST({column} AS {TEXT}), '') = ''"


def _text(source: Source, name: str) -> str:
    column = _column(source, name)
    is_text = source.types[source.positions[name]] == TEXT
    return column if is_text else f"CAST({column} AS {TEXT})"


def _time(source: Source, name: str) -> str:
    """Return the expression of a time in microseconds; null for one that is invalid or odd.

    Times before and after those of Python are not null: they show in the bounds of their group.
    """
    column, kind = _column(source, name), source.types[source.positions[name]]
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"epoch_us(CASE WHEN isfinite({column}) THEN {column} END)"
    text = _text(source, name)
    return (
        f"epoch_us(CASE WHEN regexp_full_match({text}, '{_UTC_TIME}')"
        f" THEN TRY_CAST({text} AS TIMESTAMP)"
        f" WHEN regexp_full_match({text}, '{_OFFSET_TIME}')"
        f" THEN CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP) END)"
    )


def _is_given(name: str) -> str:
    return f"{name} NOT IN ('', 'NULL')"


def _parts(name: str) -> str:
    """Return the parts of a number that is not short; null for a short or invalid one."""
    return (
        f"CASE WHEN NOT {name}_short AND regexp_full_match({name}, '{cells.NUMBER.pattern}')"
        f" THEN regexp_extract({name}, '{_NUMBER_PARTS}',"
        f" ['sign', 'whole', 'decimals', 'exponent']) END AS {name}_parts"
    )


def _unless_short(name: str, expression: str) -> str:
    """Return an expression that is evaluated only for the numbers that are not short."""
    return f"CASE WHEN NOT {name}_short THEN {expression} END"


def _digits(name: str) -> str:
    """Return the digits of a number that is not short, and how many of them are decimals."""
    parts = f"{name}_parts"
    digits = f"ltrim({parts}.whole || {parts}.decimals, '0')"
    scale = f"length({parts}.decimals) - coalesce(TRY_CAST({parts}.exponent AS INTEGER), 0)"
    return (
        f"{_unless_short(name, digits)} AS {name}_digits,"
        f" {_unless_short(name, scale)} AS {name}_scale"
    )


def _values(name: str) -> str:
    """Return the value of a short number, and the digits of another one in a fixed width.

    Both are null for an invalid number: one that is too large or has too many decimals, too.
    """
    digits, scale = f"{name}_digits", f"{name}_scale"
    limit = cells.MONEY_DIGITS if name == COST else cells.QUANTITY_DIGITS
    return (
        f"CASE WHEN {name}_short THEN CAST({name} AS DECIMAL(38, {_SHORT_SCALE})) END"
        f" AS {name}_short_value,"
        f" CASE WHEN {name}_short THEN NULL WHEN {digits} = '' THEN '{'0' * (1 + _LONG_WIDTH)}'"
        f" WHEN {scale} <= {cells.MAX_DECIMALS} AND length({digits}) - {scale} <= {limit}"
        f" THEN (CASE {name}_parts.sign WHEN '-' THEN '-' ELSE '0' END) || lpad("
        f"{digits} || repeat('0', {cells.MAX_DECIMALS} - {scale}), {_LONG_WIDTH}, '0') END"
        f" AS {name}_long_value"
    )


def _is_invalid(name: str) -> str:
    is_missing = f"{name}_short_value IS NULL AND {name}_long_value IS NULL"
    if name == COST:
        return f"({is_missing})"
    return f"({name} IS NOT NULL AND {_is_given(name)} AND {is_missing})"


def _sums(name: str) -> str:
    long = f"{name}_long_value"
    parts = (
        f"CAST({long}[1] || {long}[{first} : {first + count - 1}] AS HUGEINT)"
        for first, count, _ in _LONG_PARTS
    )
    sums = (f"sum({_unless_short(name, part)})" for part in parts)
    return ", ".join((f"sum({name}_short_value)", *sums))


def _totals(columns: Sequence[Sequence[Any]]) -> list[Decimal | None]:
    """Return the sums of each group, from those of its short numbers and of the others' parts."""
    short, *parts = columns
    with localcontext(EXACT_ARITHMETIC):
        if all(part is None for part in parts[0]):
            return [None if each is None else each.normalize() for each in short]
        return [_total(*sums) for sums in zip(*columns, strict=True)]


def _total(short: Decimal | None, *parts: int | None) -> Decimal | None:
    total = Decimal(0) if short is None else short
    if short is None and parts[0] is None:
        return None
    for part, (_, _, exponent) in zip(parts, _LONG_PARTS, strict=True):
        total += Decimal(int(part or 0)).scaleb(exponent)
    return total.normalize()


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
