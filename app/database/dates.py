"""Dates and times between Python and PostgreSQL: each as it is, the first and the last included.

The driver's own codecs write the first and the last date and time of Python as `-infinity` and
`infinity`, and cannot read what lies outside of Python's years 1 to 9999.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, event

FIRST_DATE: Final = "0001-01-01"
LAST_DATE: Final = "9999-12-31"
FIRST_TIME: Final = "0001-01-01 00:00:00+00"
LAST_TIME: Final = "9999-12-31 23:59:59.999999+00"
"""What Python has, as PostgreSQL writes it."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)

OutOfRangeHandler = Callable[[str, int], object]
"""Returns what stands for a value that Python does not have.

It gets the name of the type and the days or microseconds since 2000.
"""


def clamp_to_range(kind: str, since_epoch: int) -> date:
    """Return the first or the last date or time instead of one before or after it."""
    if kind == "date":
        return date.max if since_epoch > 0 else date.min
    return _LAST if since_epoch > 0 else _FIRST


def register_date_codecs(engine: Engine, out_of_range: OutOfRangeHandler = clamp_to_range) -> None:
    """Let the engine's connections write and read `date` and `timestamptz` by the codecs here.

    They hold for parameters, results and COPY alike. A time must have an offset.
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
