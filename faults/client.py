"""A client as it should be: it enters what it was told, and sends again what was not answered."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from time import monotonic
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from faults.request_log import Attempt, Kind, Operation, RequestLog

_TIMEOUT = 60.0
"""Seconds: far longer than any answer may take, so that it is seen how long one takes."""
_PAUSE = 0.2
"""Seconds until the same is sent again: less than Retry-After says, to see a recovery early."""
_CONNECTIONS = 100
_KEPT_SECONDS = 2.0
"""For which a connection is kept; after five the API closes it, perhaps amid the next request."""


def new_key() -> str:
    """Return an Idempotency-Key for something that is to happen once."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """What came back: an attempt, and its body where there was one."""

    attempt: Attempt
    body: bytes = b""

    def json(self) -> Any:
        """Return the body of an answer that is JSON; raises ValueError for another."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Upload:
    """The form of a payment with its proof."""

    fields: Mapping[str, str]
    name: str
    content: bytes

    @property
    def value(self) -> str:
        """What the ledger keeps of it: the day of a payment, and the digest of its proof."""
        return f"{self.fields['date']} {sha256(self.content).hexdigest()}"


class Client:
    """Calls the APIs in turn; after a connection broke, the next one.

    `urls` are looked at for each request, and may change meanwhile.
    """

    def __init__(
        self, urls: Sequence[str], headers: Mapping[str, str], request_log: RequestLog
    ) -> None:
        self.request_log = request_log
        self.gives_up = asyncio.Event()
        """Set when nothing that is not answered is to be sent again."""
        self.urls = urls
        self._headers = dict(headers)
        self._turn = count()
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def read(self, kind: Kind, path: str, invoice: UUID | None = None) -> ClientResponse:
        """Ask once."""
        operation = self.request_log.open(kind, invoice)
        return await self._try(operation, "GET", path)

    async def change(
        self,
        kind: Kind,
        invoice: UUID,
        value: str = "",
        body: Mapping[str, str] | None = None,
    ) -> ClientResponse:
        """Ask under a key, again and again until there is an answer or it is told to give up."""
        return await self.finish(self.request_log.open(kind, invoice, value, new_key()), body)

    async def finish(
        self, operation: Operation, body: Upload | Mapping[str, str] | None = None
    ) -> ClientResponse:
        """Ask for what an operation is until there is an answer, or it is told to give up."""
        path, options = build_request(operation, body)
        while True:
            answer = await self._try(operation, "POST", path, **options)
            if not answer.attempt.asks_again or self.gives_up.is_set():
                return answer
            await asyncio.sleep(_PAUSE)

    def _of(self, url: str) -> httpx.AsyncClient:
        if url not in self._clients:
            limits = httpx.Limits(
                max_connections=None,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_KEPT_SECONDS,
            )
            self._clients[url] = httpx.AsyncClient(
                base_url=url, headers=self._headers, timeout=_TIMEOUT, limits=limits
            )
        return self._clients[url]

    async def _try(
        self, operation: Operation, method: str, path: str, **options: Any
    ) -> ClientResponse:
        client = self._of(self.urls[next(self._turn) % len(self.urls)])
        begun = monotonic()
        try:
            response = await client.request(method, path, **options)
        except httpx.TransportError as error:
            attempt = Attempt(begun, monotonic() - begun, failure=type(error).__name__)
            answer = ClientResponse(attempt)
        else:
            attempt = to_attempt(begun, response)
            answer = ClientResponse(attempt, response.content)
        operation.attempts.append(attempt)
        return answer


def to_attempt(begun: float, response: httpx.Response) -> Attempt:
    """Return what the ledger keeps of a response that has just arrived."""
    return Attempt(
        begun,
        monotonic() - begun,
        response.status_code,
        retry_after=response.headers.get("Retry-After", ""),
        sha256=sha256(response.content).hexdigest(),
        well_formed=response.status_code < 400 or _is_error(response.content),
    )


def build_request(
    operation: Operation, body: Upload | Mapping[str, str] | None
) -> tuple[str, dict[str, Any]]:
    """Return the path of an operation that changes something, and what else httpx is to send."""
    path = f"/api/invoices/{operation.invoice}/{operation.kind}/"
    options: dict[str, Any] = {"headers": {"Idempotency-Key": operation.key}}
    if isinstance(body, Upload):
        options |= {"data": body.fields, "files": {"proof": (body.name, body.content)}}
    elif body is not None:
        options["json"] = body
    return path, options


def _is_error(content: bytes) -> bool:
    try:
        body = json.loads(content)
    except ValueError:
        return False
    return isinstance(body, dict) and isinstance(body.get("detail"), str)


@dataclass
class ObservedStates:
    """What a client has learnt of invoices, and what it must therefore see from then on."""

    request_log: RequestLog
    ranks: dict[UUID, int] = field(default_factory=dict)

    def rank(self, uuid: UUID) -> int:
        """Return how far the invoice was when it was last seen."""
        return self.ranks.get(uuid, 0)

    def look(self, what: Mapping[str, Any], at_least: int) -> None:
        """Check an invoice that was read when it was known to be that far."""
        uuid = UUID(what["uuid"])
        state = what["state"]
        rank = _RANKS.get(state, -1)
        if rank < at_least:
            self.request_log.violations.append(
                f"invoice {uuid} was seen {state} after it was further"
            )
        self.ranks[uuid] = max(rank, self.rank(uuid))


_RANKS = {"pending": 0, "created": 1, "paid": 2}
