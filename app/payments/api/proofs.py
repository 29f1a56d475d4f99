"""Downloads of proofs of payment, for those who may see the payment."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from fastapi.responses import FileResponse
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable

from app.api.dependencies import CurrentDatabase, CurrentSettings
from app.api.errors import ApiError, NotFound
from app.api.operation_docs import document_errors
from app.formats import parse_uuid
from app.identity.api.authentication import Authenticated
from app.payments.proofs import MEDIA_TYPES, ProofStore
from app.payments.queries.payments import find_visible_proof

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


class _Download(FileResponse):
    """A file, or the part that `Range` names; an invalid range raises an `ApiError`."""

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
    database: CurrentDatabase,
    settings: CurrentSettings,
) -> FileResponse:
    """Download the proof of a payment. The media type is detected from the content."""
    payment = parse_uuid(uuid)
    proof = None
    if payment is not None:
        async with database.reading() as connection:
            proof = await find_visible_proof(connection, caller, payment)
    if proof is None:
        raise NotFound("No Payment with a proof matches the given query.")
    store = ProofStore(settings.proof_dir, settings.proof_max_bytes)
    return _Download(
        store.path(proof.key),
        media_type=proof.media_type,
        filename=proof.name,
        headers=_SAFE,
        stat_result=await store.check(proof.key, proof.size),
    )
