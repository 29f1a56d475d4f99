"""The `Idempotency-Key` header, by which a client can safely retry a request.

The header follows the IETF draft (draft-ietf-httpapi-idempotency-key-header), the behaviour that of
Stripe's API.
"""

import json
import re
from hashlib import sha256
from typing import Any, Final

from fastapi import Request

from app.api.errors import ApiError
from app.api.multipart import FilePart
from app.api.request_body import RequestBody
from app.idempotency.repository import IdempotencyKey
from app.identity.caller import Caller

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}
"""The header that marks a replayed response."""
_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class MalformedKey(ApiError):
    """400: the header is not a valid key."""

    def __init__(self) -> None:
        super().__init__(400, {"detail": f"{HEADER} must be 1 to 255 printable ASCII characters."})


def key_of_request(request: Request, caller: Caller) -> IdempotencyKey:
    """Return the idempotency key in the header of a request. Raises `MalformedKey`."""
    values = request.headers.getlist(HEADER)
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise MalformedKey
    return IdempotencyKey(caller.user_id, values[0])


def request_digest(operation: str, subject: str, request: Request, body: RequestBody) -> bytes:
    """Return the SHA-256 digest that identifies a request.

    It covers the operation, the UUID of the record, the query and the body's fields. Bodies
    with equal fields have equal digests in any media type. A file counts by its name and content.
    """
    query = sorted(request.query_params.multi_items())
    content = [operation, subject, query, body.fields]
    return sha256(json.dumps(content, sort_keys=True, default=_file_digest).encode()).digest()


def _file_digest(value: Any) -> Any:
    if not isinstance(value, FilePart):  # pragma: no cover - bodies have no other types
        raise TypeError(f"{type(value).__name__} in a body")
    return {"file": value.name, "sha256": value.sha256.hexdigest()}
