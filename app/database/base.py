"""The declarative base, column types and constraint names that every table shares."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Identity,
    MetaData,
    Numeric,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

Key = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
"""A row's own key; rising, so that it also tells the order of creation."""
PublicId = Annotated[UUID, mapped_column(Uuid, unique=True, default=uuid4)]
"""The identifier that leaves the service."""
Money10 = Annotated[Decimal, mapped_column(Numeric(22, 10))]
Percent = Annotated[Decimal, mapped_column(Numeric(4, 2), default=Decimal(0))]
"""Of 100; 20 stands for 20 %."""
Words = Annotated[str, mapped_column(Text, default="", server_default="")]
"""Text that is empty where there is none, never null."""
Json = Annotated[dict[str, Any], mapped_column(JSONB, default=dict, server_default="{}")]


class Base(DeclarativeBase):
    """Base of every table; constraints are named alike, so that migrations can speak of them."""

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


def one_of(column: str, words: Iterable[StrEnum]) -> CheckConstraint:
    """Allow only the given words in a text column."""
    allowed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({allowed})", name=f"{column}_is_known")
