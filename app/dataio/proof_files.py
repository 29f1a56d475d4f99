"""Proofs on their way in: from a payment's record to a file of the store."""

import binascii
from base64 import b64decode

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.dataio.records import Payment
from app.dataio.records import Proof as ProofRecord
from app.payments.models import Payment as PaymentRow
from app.payments.proofs import Proof, ProofRefused, ProofStore, ProofTooLarge


class WrongProof(Exception):
    """A proof whose content cannot be taken, in words for whoever wrote the file."""


class ProofFiles:
    """The files that an import has written, so that they go again if it fails."""

    def __init__(self, connection: AsyncConnection, store: ProofStore) -> None:
        self._connection = connection
        self._store = store
        self._written: set[str] = set()

    async def take(self, payment: Payment) -> tuple[object, ...]:
        """Store the proof unless this payment has it; return what its columns tell of it.

        Raises `WrongProof`.
        """
        if payment.proof is None:
            return ()
        given = payment.proof
        there = select(PaymentRow.proof_key, PaymentRow.proof_name).where(
            PaymentRow.uuid == payment.uuid, PaymentRow.proof_sha256 == given.sha256
        )
        row = (await self._connection.execute(there)).one_or_none()
        if row is not None and self._store.path(row.proof_key).is_file():
            key, name = row.proof_key, given.name
        else:
            kept = await self._keep(given)
            self._written.add(kept.key)
            key, name = kept.key, kept.name
        return (key, name, given.media_type, given.size, given.sha256)

    async def _keep(self, given: ProofRecord) -> Proof:
        try:
            content = b64decode(given.content, validate=True)
        except binascii.Error as error:
            raise WrongProof("the proof's content is not base64") from error
        try:
            async with self._store.begin(given.name) as incoming:
                await incoming.write(content)
                kept = await incoming.finish()
        except (ProofRefused, ProofTooLarge) as error:
            raise WrongProof(str(error)) from error
        if (kept.media_type, kept.size, kept.sha256) != (
            given.media_type,
            given.size,
            given.sha256,
        ):
            await self._store.remove(kept.key)
            raise WrongProof("the proof's content is not what its type, size and digest tell")
        return kept

    async def drop(self, key: str) -> None:
        """Remove the file of a payment that is not kept, if this import wrote it."""
        if key in self._written:
            await self._store.remove(key)
            self._written.remove(key)

    async def drop_all(self) -> None:
        """Remove everything that was written."""
        for key in list(self._written):
            await self.drop(key)
