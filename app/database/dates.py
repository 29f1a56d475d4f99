"""Codecs for dates and times that map every value of Python to the same value of PostgreSQL.

The driver's own codecs write Python's first and last date and time as `-infinity` and `infinity`,
and cannot read values outside the years 1 to 9999.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, event

FIRST_DATE: Final = "0001-01-01"
LAST_DATE: Final = "9999-12-31"
FIRST_TIME: Final = "0001-01-01 00:00:00+00"
LAST_TIME: Final = "9999-12-31 23:59:59.999999+00"
"""The range of Python, as PostgreSQL writes it."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)

OutOfRangeHandler = Callable[[str, int], object]
"""Returns the replacement for a value outside of Python's range.

The arguments are the name of the type, and the days or microseconds since 2000.
"""


def clamp_to_range(kind: str, since_epoch: int) -> date:
    """Return the first date or time for a value before it, and the last for a value after it."""
    if kind == "date":
        return date.max if since_epoch > 0 else date.min
    return _LAST if since_epoch > 0 else _FIRST


def register_date_codecs(engine: Engine, out_of_range: OutOfRangeHandler = clamp_to_range) -> None:
    """Use these codecs for `date` and `timestamptz` on all connections of the engine.

    They apply to parameters, results and COPY. A time must have an offset.
    """

    def read_date(value: tuple[int]) -> object:
        try:
            return date.fromordinal(value[0] + _EPOCH_DAY)
        except (ValueError, OverflowError):
            return out_of_range("date", value[0])

    def read_time(value: tuple[int]) -> object:
        try:
            return _EPOCH + timedelta(0, 0, value[0])
        except OverflowError:
            return out_of_range("timestamptz", value[0])

    async def register(connection: Any) -> None:
        for name, write, read in (
            ("date", _write_date, read_date),
            ("timestamptz", _write_time, read_time),
        ):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=write, decoder=read, format="tuple"
            )

    event.listen(engine, "connect", lambda connection, _record: connection.run_async(register))


def _write_date(value: date) -> tuple[int]:
    return (value.toordinal() - _EPOCH_DAY,)


def _write_time(value: datetime) -> tuple[int]:
    return ((value - _EPOCH) // _MICROSECOND,)
