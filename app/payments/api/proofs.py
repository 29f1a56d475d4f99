"""Downloads of proofs of payment, for those who may see the payment."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any, Final, cast

from anyio import AsyncFile
from fastapi import APIRouter, Path, Request
from fastapi.responses import FileResponse
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable
from starlette.types import Message, Receive, Scope, Send

from app.api.dependencies import CurrentReads
from app.api.errors import ApiError, NotFound
from app.api.operation_docs import document_errors
from app.api.streaming import CUT
from app.formats import parse_uuid
from app.identity.api.authentication import Authenticated
from app.logging import describe_error, get_logger
from app.payments.proof_store.store import ProofStore, StoredProof, find_whole, read_verified
from app.payments.proofs import MEDIA_TYPES, Proof
from app.payments.queries.payments import find_visible_proof
from app.storage import StorageUnavailable

_logger = get_logger(__name__)
router = APIRouter(prefix="/api/payments", tags=["payments"])

_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The proof, as a download",
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            # No proof has the first type, but client generators take it for a file.
            for media_type in ("application/octet-stream", *MEDIA_TYPES)
        },
    }
}
# A browser must not show the file as a page of this site.
_SAFE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
}


class _RangeNotSatisfiable(ApiError):
    """416: the range lies outside of the file."""

    def __init__(self, size: int) -> None:
        detail = f"The range lies outside of the proof, which has {size} bytes."
        super().__init__(416, {"detail": detail}, {"Content-Range": f"bytes */{size}"})


class _StoredFile:
    """The content of a proof, as `FileResponse` reads it: in order, from offsets that it seeks.

    The last piece of the whole content is only read if the digest is right.
    """

    def __init__(self, store: ProofStore, proof: Proof) -> None:
        self._store = store
        self._proof = proof
        self._pieces = read_verified(store, proof)
        self._waiting = b""

    async def seek(self, offset: int) -> None:
        """Read on from an offset."""
        await self.aclose()
        self._pieces = self._store.read(self._proof.key, offset)
        self._waiting = b""

    async def read(self, size: int) -> bytes:
        """Return so many bytes, or the rest; raises `StorageUnavailable`."""
        while len(self._waiting) < size and (piece := await anext(self._pieces, b"")):
            self._waiting += piece
        part, self._waiting = self._waiting[:size], self._waiting[size:]
        return part

    async def aclose(self) -> None:
        """End the download from the store."""
        await self._pieces.aclose()


class _Download(FileResponse):
    """A proof, or the part that `Range` names; an invalid range raises an `ApiError`."""

    def __init__(self, store: ProofStore, proof: Proof, stored: StoredProof) -> None:
        times = (stored.modified,) * 3
        super().__init__(
            proof.key,
            media_type=proof.media_type,
            filename=proof.name,
            headers=_SAFE,
            stat_result=os.stat_result((0, 0, 0, 0, 0, 0, stored.size, *times)),
        )
        self._store = store
        self._proof = proof

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. If the store fails meanwhile, the connection is cut."""
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await super().__call__(scope, receive, send_and_note)
        except StorageUnavailable as error:
            cut = scope.get("state", {}).get(CUT)
            if not started or cut is None:
                raise
            _logger.error("proof cut off", error=describe_error(error))
            cut()

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[AsyncFile[bytes]]:
        async with aclosing(_StoredFile(self._store, self._proof)) as file:
            yield cast("AsyncFile[bytes]", file)

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        """Return the parts; none, which means the whole file, for an unknown unit.

        RFC 9110, 14.2: a range in an unknown unit is ignored.
        """
        if http_range.partition("=")[0].strip().lower() != "bytes":
            return []
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            raise ApiError(400, {"detail": "The Range header is malformed."}) from None
        except RangeNotSatisfiable as error:
            raise _RangeNotSatisfiable(error.max_size) from None


@router.get(
    "/{uuid}/proof/",
    operation_id="payments_proof_retrieve",
    summary="Download a proof of payment",
    response_class=FileResponse,
    responses=_FILE | document_errors(400, 404, 416),
)
@router.head("/{uuid}/proof/", include_in_schema=False)
async def download_proof(
    uuid: Annotated[
        str,
        Path(
            description="The payment's UUID, with or without hyphens.",
            json_schema_extra={"format": "uuid"},
        ),
    ],
    caller: Authenticated,
    reads: CurrentReads,
    request: Request,
) -> FileResponse:
    """Download the proof of a payment. The media type is detected from the content."""
    payment = parse_uuid(uuid)
    proof = None
    if payment is not None:
        async with reads.reading() as connection:
            proof = await find_visible_proof(connection, caller, payment)
    if proof is None:
        raise NotFound("No Payment with a proof matches the given query.")
    store = request.app.state.proof_store
    return _Download(store, proof, await find_whole(store, proof))
