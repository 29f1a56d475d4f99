"""Stores the proofs of imported payments."""

import binascii
from base64 import b64decode
from contextlib import closing
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.dataio.records.payments import PaymentRecord, ProofRecord
from app.payments.models import Payment
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.store import ProofStore, remove
from app.payments.proofs import Proof, ProofRefused, ProofTooLarge


class InvalidProof(Exception):
    """The content of a proof is invalid. The message is for the author of the file."""


class ImportedProofs:
    """The proofs that an import has written, so that a failed import can remove them."""

    def __init__(self, connection: AsyncConnection, store: ProofStore) -> None:
        self._connection = connection
        self._store = store
        self._written: set[str] = set()

    @property
    def max_bytes(self) -> int:
        """The size of the largest proof."""
        return self._store.max_bytes

    async def store(self, payment: PaymentRecord) -> tuple[object, ...]:
        """Store the proof unless the payment has it already; return the values of its columns.

        Raises `InvalidProof`.
        """
        if payment.proof is None:
            return ()
        proof = payment.proof
        key, name = await self.find(payment.uuid, proof.sha256), proof.name
        if key is None:
            stored = await self._write(proof)
            self._written.add(stored.key)
            key, name = stored.key, stored.name
        return (key, name, proof.media_type, proof.size, proof.sha256)

    async def find(self, payment: UUID, digest: str) -> str | None:
        """Return the key of a payment's stored proof if it has this SHA-256 digest."""
        existing = select(Payment.proof_key).where(
            Payment.uuid == payment, Payment.proof_sha256 == digest
        )
        key = (await self._connection.execute(existing)).scalar_one_or_none()
        return key if key is not None and await self._store.find(key) else None

    async def _write(self, record: ProofRecord) -> Proof:
        try:
            content = b64decode(record.content, validate=True)
        except binascii.Error as error:
            raise InvalidProof("the proof's content is not base64") from error
        try:
            with closing(IncomingProof(self._store)) as incoming:
                await incoming.begin(record.name)
                await incoming.write(content)
                stored = await incoming.finish()
        except (ProofRefused, ProofTooLarge) as error:
            raise InvalidProof(str(error)) from error
        if (stored.media_type, stored.size, stored.sha256) != (
            record.media_type,
            record.size,
            record.sha256,
        ):
            await remove(self._store, stored.key)
            raise InvalidProof("the proof's content does not match its type, size and digest")
        return stored

    async def remove(self, key: str) -> None:
        """Remove the proof of a rejected payment if this import wrote it."""
        if key in self._written:
            await remove(self._store, key)
            self._written.remove(key)

    async def remove_all(self) -> None:
        """Remove every proof that this import wrote."""
        for key in list(self._written):
            await self.remove(key)
