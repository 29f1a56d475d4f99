"""Stores the offerings of a customer credit: a list in the record, rows of a link table."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalogue.models import Offering
from app.dataio.records import CustomerCreditRecord
from app.payments.models import CustomerCredit
from app.payments.models import CustomerCreditOffering as Link


class CreditOfferingWriter:
    """Writes the offerings of a batch of credits."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._offering_ids: dict[UUID, int] = {}
        self._existing: set[UUID] = set()

    async def prepare(self, records: Sequence[CustomerCreditRecord]) -> dict[UUID, UUID]:
        """Load the named offerings and the existing credits, before the credits are written.

        Returns, by credit, an offering that it names and that does not exist.
        """
        self._existing = set(await self._credit_ids(records))
        named = {offering for credit in records for offering in credit.offerings}
        statement = select(Offering.uuid, Offering.id).where(Offering.uuid.in_(named))
        self._offering_ids = {row.uuid: row.id for row in await self._connection.execute(statement)}
        return {
            credit.uuid: offering
            for credit in records
            for offering in reversed(credit.offerings)
            if offering not in self._offering_ids
        }

    async def store(self, records: Sequence[CustomerCreditRecord]) -> set[UUID]:
        """Replace the offerings of written credits by those of their records.

        Returns the credits that existed before and changed.
        """
        ids = await self._credit_ids(records)
        stored: dict[int, set[int]] = defaultdict(set)
        links = select(Link.customer_credit_id, Link.offering_id).where(
            Link.customer_credit_id.in_(ids.values())
        )
        for row in await self._connection.execute(links):
            stored[row.customer_credit_id].add(row.offering_id)
        new = {
            ids[credit.uuid]: {self._offering_ids[offering] for offering in credit.offerings}
            for credit in records
        }
        await self._delete([(key, old) for key, own in stored.items() for old in own - new[key]])
        await self._insert([(key, each) for key in new for each in sorted(new[key] - stored[key])])
        return {
            credit
            for credit, key in ids.items()
            if credit in self._existing and new[key] != stored[key]
        }

    async def _credit_ids(self, records: Sequence[CustomerCreditRecord]) -> dict[UUID, int]:
        uuids = [credit.uuid for credit in records]
        statement = select(CustomerCredit.uuid, CustomerCredit.id)
        rows = await self._connection.execute(statement.where(CustomerCredit.uuid.in_(uuids)))
        return {row.uuid: row.id for row in rows}

    async def _delete(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            pair = tuple_(Link.customer_credit_id, Link.offering_id)
            await self._connection.execute(delete(Link).where(pair.in_(pairs)))

    async def _insert(self, pairs: list[tuple[int, int]]) -> None:
        if pairs:
            rows = [{"customer_credit_id": key, "offering_id": offering} for key, offering in pairs]
            await self._connection.execute(insert(Link), rows)
