"""Reads rows of a Waldur, maps them and adds the records to the loader."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from app.credits.models import CustomerAffiliate
from app.dataio.loader import Loader
from app.dataio.records.record import Record, kind_of
from app.dataio.waldur import local_state, mapping
from app.dataio.waldur.import_report import WaldurImportReport, describe_mapping_error
from app.dataio.waldur.mapping import Row
from app.dataio.waldur.source_database import WaldurDatabase
from app.payments.models import PaymentProfile

Progress = Callable[[str], None]
"""Called with the kind of each row that has been read."""
MapRow = Callable[[Row], Record]


class RowImporter:
    """Imports rows one by one, and reports those that cannot be mapped."""

    def __init__(
        self,
        waldur: WaldurDatabase,
        loader: Loader,
        report: WaldurImportReport,
        progress: Progress,
    ) -> None:
        self.waldur = waldur
        self.loader = loader
        self.report = report
        self.progress = progress
        self.seen: dict[str, set[UUID]] = defaultdict(set)
        """The records that were added, by kind."""

    async def import_rows(
        self,
        model: type[Record],
        source: str | Select[Any],
        map_row: MapRow | None = None,
    ) -> None:
        """Import the rows of a table or select; without `map_row` by the names of the fields."""
        kind = kind_of(model)
        async for row in self.rows(kind, source):
            await self.add(kind, row, map_row or partial(mapping.map_record, model))

    async def rows(self, kind: str, source: str | Select[Any]) -> AsyncIterator[Row]:
        """Yield the rows of a table or select. A table that this release lacks has none."""
        if isinstance(source, str):
            if not self.waldur.has(source):
                return
            source = self.waldur.select(source)
        async for row in self.waldur.rows(source):
            self.progress(kind)
            yield row

    async def deactivate_others(
        self,
        entity: type[PaymentProfile] | type[CustomerAffiliate],
        kind: str,
        source: Select[Any],
    ) -> None:
        """Deactivate rows of this service beside which Waldur's active ones could not be stored."""
        rows = await self.waldur.all(source)
        customers = {row["customer"] for row in rows if row["is_active"]}
        known = {row["uuid"] for row in rows}
        for name in await local_state.deactivate_others(
            self.loader.connection, entity, customers, known
        ):
            self.report.adapted.add(
                kind, "it is not active any more, since Waldur has another active one", name
            )

    async def lists(self, statement: Select[Any] | None) -> dict[int, list[UUID]]:
        """Return the UUIDs that a select of `owner` and `uuid` lists, by owner.

        The import of the listed rows reports a UUID that cannot be read.
        """
        listed: dict[int, list[UUID]] = defaultdict(list)
        if statement is not None:
            async for row in self.waldur.rows(statement):
                with suppress(ValueError):
                    listed[row["owner"]].append(mapping.parse_uuid(row["uuid"]))
        return listed

    async def add(self, kind: str, row: Row, map_row: MapRow) -> bool:
        """Map a row and add its record, or report why it cannot be mapped.

        Returns whether it was mapped.
        """
        try:
            record = map_row(mapping.require_readable(row))
        except ValueError as error:
            self.report.skipped.add(kind, describe_mapping_error(error), name_row(row))
            return False
        self.seen[kind].add(record.uuid)
        await self.loader.add(record)
        return True


def name_row(row: Row) -> str:
    """Return the identifier of a row; of a token its user, never its key."""
    return str(row.get("uuid") or row.get("user") or row.get("id") or row.get("customer"))
