"""A correct API client: it logs every response and retries requests without one."""

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
"""Seconds, far above the limit of a response, so that the actual time is measured."""
_PAUSE = 0.2
"""Seconds until a retry: less than Retry-After, to detect a recovery early."""
_CONNECTIONS = 100
_KEEPALIVE_SECONDS = 2.0
"""Less than the five seconds after which the API closes an idle connection."""


def new_key() -> str:
    """Return a new Idempotency-Key."""
    return str(uuid4())


@dataclass(frozen=True, slots=True)
class ClientResponse:
    """An attempt and the body of its response, if there was one."""

    attempt: Attempt
    body: bytes = b""

    def json(self) -> Any:
        """Return the body parsed as JSON; raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Upload:
    """The form of a payment with a proof."""

    fields: Mapping[str, str]
    name: str
    content: bytes

    @property
    def value(self) -> str:
        """The value in the request log: the date of the payment and the digest of the proof."""
        return f"{self.fields['date']} {sha256(self.content).hexdigest()}"


class Client:
    """Calls the APIs in turn, also for retries.

    `urls` is read for each request and may change.
    """

    def __init__(
        self, urls: Sequence[str], headers: Mapping[str, str], request_log: RequestLog
    ) -> None:
        self.request_log = request_log
        self.gives_up = asyncio.Event()
        """Set to end retries."""
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
        """Send a GET request once."""
        operation = self.request_log.open(kind, invoice)
        return await self._try(operation, "GET", path)

    async def change(
        self,
        kind: Kind,
        invoice: UUID,
        value: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> ClientResponse:
        """Send a change with a new key, and retry it until there is a response."""
        return await self.finish(self.request_log.open(kind, invoice, value, new_key()), body)

    async def finish(
        self, operation: Operation, body: Upload | Mapping[str, Any] | None = None
    ) -> ClientResponse:
        """Send the request of an operation until there is a response or retries have ended."""
        path, options = build_request(operation, body)
        while True:
            answer = await self._try(operation, "POST", path, **options)
            if not answer.attempt.needs_retry or self.gives_up.is_set():
                return answer
            await asyncio.sleep(_PAUSE)

    def _of(self, url: str) -> httpx.AsyncClient:
        if url not in self._clients:
            limits = httpx.Limits(
                max_connections=None,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_KEEPALIVE_SECONDS,
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
    """Return the entry of the request log for a response that has just arrived."""
    return Attempt(
        begun,
        monotonic() - begun,
        response.status_code,
        retry_after=response.headers.get("Retry-After", ""),
        sha256=sha256(response.content).hexdigest(),
        well_formed=response.status_code < 400 or _is_error(response.content),
    )


def build_request(
    operation: Operation, body: Upload | Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    """Return the path and the httpx options of a request for a change."""
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
    """The latest observed state of each invoice, behind which no later read may fall."""

    request_log: RequestLog
    ranks: dict[UUID, int] = field(default_factory=dict)

    def rank(self, uuid: UUID) -> int:
        """Return the rank of the latest observed state of an invoice."""
        return self.ranks.get(uuid, 0)

    def record(self, invoice: Mapping[str, Any], at_least: int) -> None:
        """Record a read of an invoice and check that its state has at least a rank."""
        uuid = UUID(invoice["uuid"])
        state = invoice["state"]
        rank = _RANKS.get(state, -1)
        if rank < at_least:
            self.request_log.violations.append(
                f"invoice {uuid} was read as {state} after a later state"
            )
        self.ranks[uuid] = max(rank, self.rank(uuid))


_RANKS = {"pending": 0, "created": 1, "paid": 2}
