"""The declarative base, and the column types and constraint names that all tables share."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Identity,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

_FIRST_DATE: Final = "0001-01-01"
_LAST_DATE: Final = "9999-12-31"
_FIRST_TIME: Final = "0001-01-01 00:00:00+00"
_LAST_TIME: Final = "9999-12-31 23:59:59.999999+00"
"""The range of Python, as PostgreSQL writes it."""

PrimaryKey = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
"""The internal key of a row. It rises, so it also orders rows by creation."""
PublicId = Annotated[UUID, mapped_column(Uuid, unique=True, default=uuid4)]
"""The identifier that clients see."""
Amount = Annotated[Decimal, mapped_column(Numeric)]
"""An amount in the currency's decimals. The column has two, until `widen_amounts()` lifts that."""
Money10 = Annotated[Decimal, mapped_column(Numeric(22, 10))]
Percent = Annotated[Decimal, mapped_column(Numeric(5, 2), default=Decimal(0))]
"""20 stands for 20 %."""
BlankText = Annotated[str, mapped_column(Text, default="", server_default="")]
"""Text that is empty instead of null."""
JsonObject = Annotated[dict[str, Any], mapped_column(JSONB, default=dict, server_default="{}")]


class Base(DeclarativeBase):
    """Base of every table. Constraints follow one naming convention; migrations rely on it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        date: Date,
        UUID: Uuid,
    }

    def __init_subclass__(cls, *, check_dates: bool = True, **options: Any) -> None:
        """Declare the table, with a constraint to dates and times that Python can represent.

        `check_dates=False` leaves it out, for a table whose existing rows cannot be repaired.
        """
        super().__init_subclass__(**options)
        table = cls.__table__
        if check_dates and isinstance(table, Table) and (condition := date_range_condition(table)):
            table.append_constraint(CheckConstraint(condition, name="dates_are_in_range"))


def date_range_condition(table: Table) -> str:
    """Return the condition that dates and times are in the years 1 to 9999; empty without any."""
    spans = ((Date, _FIRST_DATE, _LAST_DATE), (DateTime, _FIRST_TIME, _LAST_TIME))
    return " AND ".join(
        f"\"{column.name}\" BETWEEN '{first}' AND '{last}'"
        for column in table.columns
        for kind, first, last in spans
        if isinstance(column.type, kind)
    )


def enum_check(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    """Return a constraint that allows only these values in a text column."""
    allowed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_is_known")
