"""A proof that arrives in pieces, and is checked before it is stored."""

import asyncio
import secrets
from hashlib import sha256
from typing import Final

from app.payments.proof_store.store import ProofStore, Upload
from app.payments.proofs import Proof, ProofRefused, ProofTooLarge, media_type, safe_name

_HEAD: Final = 64
_WRITE_AT_ONCE: Final = 256 * 1024


class IncomingProof:
    """A proof that is arriving. It is used with `closing`, which leaves nothing unfinished."""

    field = "proof"
    """The field of a request that has the proof."""

    def __init__(self, store: ProofStore) -> None:
        self.max_bytes = store.max_bytes
        self.count = 0
        """Files that have begun. Only the last one is received."""
        self._store = store
        self._name = ""
        self._size = 0
        self._key = ""
        self._head = b""
        self._digest = sha256()
        self._waiting = bytearray()
        self._upload: Upload | None = None

    async def begin(self, name: str) -> None:
        """Begin a file with the sender's name, which replaces an earlier one."""
        if self.count:
            await asyncio.to_thread(self.close)
        self.count += 1
        self._name = safe_name(name)
        self._size = 0
        self._key = secrets.token_hex(16)
        self._head = b""
        self._digest = sha256()
        self._upload = self._store.begin(self._key)

    async def write(self, data: bytes) -> None:
        """Write the next piece; raises `ProofTooLarge` and `StorageUnavailable`."""
        self._size += len(data)
        if self._size > self.max_bytes:
            raise ProofTooLarge(self.max_bytes)
        if len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        self._waiting += data
        if len(self._waiting) >= _WRITE_AT_ONCE:
            await asyncio.to_thread(self._write_waiting)

    def check(self) -> str:
        """Return the media type by content; raises `ProofRefused` with a message for the sender."""
        if not self._size:
            raise ProofRefused("The submitted file is empty.")
        found = media_type(self._head)
        if found is None:
            raise ProofRefused(
                "The submitted file is of an unknown type."
                " Submit a PDF, PNG, JPEG, TIFF, WebP or HEIC file."
            )
        return found

    async def finish(self) -> Proof:
        """Check the proof and store it; raises `ProofRefused` and `StorageUnavailable`."""
        found_type = self.check()
        await asyncio.to_thread(self._write_waiting)
        await self._begun.finish()
        return Proof(self._key, self._name, found_type, self._size, self._digest.hexdigest())

    def close(self) -> None:
        """Discard what has arrived; does nothing after `finish`.

        A cancelled request must leave nothing, too: call it directly, not in a thread.
        """
        self._waiting.clear()
        if self._upload is not None:
            self._upload.discard()

    @property
    def _begun(self) -> Upload:
        if self._upload is None:
            raise ValueError("a proof that has not begun")
        return self._upload

    def _write_waiting(self) -> None:
        self._digest.update(self._waiting)
        self._begun.write(self._waiting)
        self._waiting.clear()
