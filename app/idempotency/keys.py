"""Idempotency keys: how a client names a request that it may have to send again.

The header is that of the IETF's draft (draft-ietf-httpapi-idempotency-key-header), the behaviour
the one that clients of Stripe know.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from app.api.errors import ApiError
from app.api.multipart import FilePart
from app.api.request_body import Body
from app.identity.authentication import Authenticated

LIFE: Final = timedelta(hours=24)
"""How long an answer is repeated."""
HEADER: Final = "Idempotency-Key"
REPEATED: Final = {"Idempotent-Replayed": "true"}
"""What an answer that is given again is marked with."""
_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


class MalformedKey(ApiError):
    """400: what no key can be."""

    def __init__(self) -> None:
        super().__init__(400, {"detail": f"{HEADER} must be 1 to 255 printable ASCII characters."})


class UsedOtherwise(ApiError):
    """400: the key stands for another request."""

    def __init__(self) -> None:
        super().__init__(400, {"detail": f"{HEADER} was already used with a different request."})


class RequestInProgress(ApiError):
    """409: the first request under the key is not answered yet."""

    def __init__(self) -> None:
        detail = f"A request with this {HEADER} is still in progress."
        super().__init__(409, {"detail": detail}, {"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Key:
    """A key of one user: another user's is another one, though it reads the same."""

    user_id: int
    text: str


async def _given(request: Request, caller: Authenticated) -> Key | None:
    texts = request.headers.getlist(HEADER)
    if not texts:
        return None
    if len(texts) > 1 or not _KEY.fullmatch(texts[0]):
        raise MalformedKey
    return Key(caller.user_id, texts[0])


GivenKey = Annotated[Key | None, Depends(_given)]
"""The key that the request has, if any; raises `MalformedKey`."""


def digest(operation: str, subject: int, request: Request, body: Body) -> bytes:
    """Return what a request asks for as a SHA-256 digest.

    That is its operation, the key of what it changes, its query, and what its body says: equal
    bodies are equal however they are written; of a file, name and content count.
    """
    query = sorted(request.query_params.multi_items())
    asked = [operation, subject, query, body.fields]
    return sha256(json.dumps(asked, sort_keys=True, default=_file).encode()).digest()


def _file(value: Any) -> Any:
    if not isinstance(value, FilePart):  # pragma: no cover - a body has nothing else
        raise TypeError(f"{type(value).__name__} in a body")
    return {"file": value.name, "sha256": value.sha256.hexdigest()}
