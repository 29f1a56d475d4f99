"""The offerings that credits may be spent on: a list in the record, rows of their own here."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalogue.models import Offering
from app.dataio.records import CustomerCredit
from app.payments.models import CustomerCredit as Credit
from app.payments.models import CustomerCreditOffering as Link


class CreditOfferings:
    """The offerings of a batch of credits."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._offerings: dict[UUID, int] = {}
        self._before: set[UUID] = set()

    async def look(self, records: Sequence[CustomerCredit]) -> dict[UUID, UUID]:
        """See what is there before the credits are written.

        Returns, by credit, an offering that it names and that does not exist.
        """
        self._before = set(await self._keys(records))
        named = {offering for credit in records for offering in credit.offerings}
        found = select(Offering.uuid, Offering.id).where(Offering.uuid.in_(named))
        self._offerings = {row.uuid: row.id for row in await self._connection.execute(found)}
        return {
            credit.uuid: offering
            for credit in records
            for offering in reversed(credit.offerings)
            if offering not in self._offerings
        }

    async def store(self, records: Sequence[CustomerCredit]) -> set[UUID]:
        """Make the offerings of written credits those of their records.

        Returns the credits that were there before and changed.
        """
        keys = await self._keys(records)
        stored: dict[int, set[int]] = defaultdict(set)
        links = select(Link.customer_credit_id, Link.offering_id).where(
            Link.customer_credit_id.in_(keys.values())
        )
        for row in await self._connection.execute(links):
            stored[row.customer_credit_id].add(row.offering_id)
        wanted = {
            keys[credit.uuid]: {self._offerings[offering] for offering in credit.offerings}
            for credit in records
        }
        await self._drop([(k, o) for k, have in stored.items() for o in have - wanted[k]])
        await self._add([(k, o) for k, want in wanted.items() for o in sorted(want - stored[k])])
        return {
            credit
            for credit, key in keys.items()
            if credit in self._before and wanted[key] != stored[key]
        }

    async def _keys(self, records: Sequence[CustomerCredit]) -> dict[UUID, int]:
        uuids = [credit.uuid for credit in records]
        rows = select(Credit.uuid, Credit.id).where(Credit.uuid.in_(uuids))
        return {row.uuid: row.id for row in await self._connection.execute(rows)}

    async def _drop(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            pair = tuple_(Link.customer_credit_id, Link.offering_id)
            await self._connection.execute(delete(Link).where(pair.in_(pairs)))

    async def _add(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            rows = [{"customer_credit_id": key, "offering_id": offering} for key, offering in pairs]
            await self._connection.execute(insert(Link), rows)
