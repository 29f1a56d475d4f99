"""Reads proofs of payment that a Waldur stores in its database."""

from base64 import b64encode
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from app.dataio.imported_proofs import ImportedProofs
from app.dataio.records.payments import ProofRecord
from app.dataio.waldur.source_database import WaldurDatabase
from app.payments.proofs import media_type, safe_name

_HEAD: Final = 64
"""The number of first bytes that determine the media type."""


async def read_proof(
    waldur: WaldurDatabase, files: ImportedProofs, payment: UUID, name: str
) -> ProofRecord:
    """Return the proof of a payment by its name; its content is empty if it is stored already.

    Raises ValueError, with the reason, if it cannot be imported.
    """
    if not waldur.has("media_file"):
        raise ValueError("the file is not in Waldur's database")
    media = waldur.table("media_file")
    is_named = media["name"] == name
    head = func.substring(media["content"], 1, _HEAD).label("head")
    found = await waldur.all(select(media["size"], media["hash"], head).where(is_named))
    if not found:
        raise ValueError("the file is not in Waldur's database")
    file = found[0]
    kind = media_type(file["head"])
    if kind is None:
        raise ValueError("the file is neither a PDF nor an image")
    if file["size"] > files.max_bytes:
        raise ValueError("the file is larger than PROOF_MAX_BYTES")
    if await files.find(payment, file["hash"]):
        content, digest, size = b"", file["hash"], file["size"]
    else:
        (row,) = await waldur.all(select(media["content"]).where(is_named).limit(1))
        content = row["content"]
        digest, size = sha256(content).hexdigest(), len(content)
    return ProofRecord(
        name=safe_name(name),
        media_type=kind,
        size=size,
        sha256=digest,
        content=b64encode(content).decode(),
    )
