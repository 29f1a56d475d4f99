"""Factories for a database at an earlier revision."""

from typing import Any
from uuid import uuid4

from sqlalchemy import MetaData, Table, insert

from app.database.base import Base
from tests.support.factories import Factories, Row


class FormerFactories(Factories):
    """Inserts rows without the columns that a later revision adds."""

    async def _insert(self, table: type[Base], values: dict[str, Any]) -> Row:
        former = await self._connection.run_sync(
            lambda connection: Table(table.__tablename__, MetaData(), autoload_with=connection)
        )
        defaults: dict[str, Any] = {}
        for column in former.c:
            default = table.__table__.c[column.name].default
            if default is not None and default.is_scalar:
                defaults[column.name] = default.arg
        given = {"uuid": uuid4(), **defaults, **values}
        known = {name: value for name, value in given.items() if name in former.c}
        statement = insert(former).values(known).returning(former.c.id)
        identifier = (await self._connection.execute(statement)).scalar_one()
        return Row(identifier, known["uuid"])
