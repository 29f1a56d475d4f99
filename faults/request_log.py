"""The log of a client: every request and response, in order."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from uuid import UUID

ABORTED = "aborted"
"""The failure of a request that the client aborted."""
MAX_SECONDS = 10.0
"""Seconds within which each request must be answered, in spite of any fault."""


class Kind(StrEnum):
    """The kind of a request."""

    LIST = "list"
    RETRIEVE = "retrieve"
    ITEMS = "items"
    STATS = "stats"
    GROWTH = "growth"
    PAID = "paid"
    BACKEND_ID = "set_backend_id"
    PAYMENT_URL = "set_payment_url"
    REFERENCE_NUMBER = "set_reference_number"
    NOTIFY = "send_notification"
    CREDIT = "credit"

    @property
    def group(self) -> str:
        """The group of the load; a recovered service answers all groups."""
        if self in (Kind.PAID, Kind.NOTIFY, Kind.CREDIT):
            return self.value
        return "set" if self in ANNOTATIONS else "read"


ANNOTATIONS = {
    Kind.BACKEND_ID: "backend_id",
    Kind.PAYMENT_URL: "payment_url",
    Kind.REFERENCE_NUMBER: "reference_number",
}
"""The requests that set a field of an invoice, and the field."""
GROUPS = frozenset(kind.group for kind in Kind if kind is not Kind.CREDIT)
"""The groups of every load; some cases credit invoices, too."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and its response, if there was one."""

    at: float
    """The monotonic time of the request, in seconds."""
    seconds: float
    """The seconds until the response or the failure."""
    status: int | None = None
    """None without a response."""
    failure: str = ""
    """The exception without a response; `ABORTED` if the client aborted the request."""
    retry_after: str = ""
    sha256: str = ""
    """The digest of the response body."""
    well_formed: bool = True
    """Whether an error has the documented body."""

    @property
    def end(self) -> float:
        """The monotonic time of the response or failure."""
        return self.at + self.seconds

    @property
    def succeeded(self) -> bool:
        """Whether the request was answered with success."""
        return self.status in (200, 201)

    @property
    def unknown(self) -> bool:
        """Whether the effect of the request is unknown."""
        return self.status is None or self.status >= 500

    @property
    def needs_retry(self) -> bool:
        """Whether to send the request again: its effect is unknown, or it is in progress."""
        return self.unknown or (self.status == 409 and bool(self.retry_after))


@dataclass(slots=True)
class Operation:
    """A change or read that a client requests, with one key for all attempts."""

    kind: Kind
    invoice: UUID | None = None
    value: str = ""
    """The value to set; for a payment its date and the digest of its proof, for a credit note its
    reason."""
    key: str = ""
    """The Idempotency-Key of all its attempts."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        """Whether a response confirmed it."""
        return any(attempt.succeeded for attempt in self.attempts)

    @property
    def uncertain(self) -> bool:
        """Whether it may have been done without a response."""
        return not self.acknowledged and any(attempt.unknown for attempt in self.attempts)


@dataclass
class RequestLog:
    """All operations of a client, and the errors found in responses."""

    operations: list[Operation] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    expected_notifications: set[UUID] = field(default_factory=set)
    """Invoices that are notified without a request, for example by their close."""

    def open(
        self, kind: Kind, invoice: UUID | None = None, value: str = "", key: str = ""
    ) -> Operation:
        """Add an operation before its first attempt."""
        operation = Operation(kind, invoice, value, key)
        self.operations.append(operation)
        return operation

    def attempts(self) -> Iterator[tuple[Kind, Attempt]]:
        """Yield every attempt with its kind."""
        for operation in self.operations:
            for attempt in operation.attempts:
                yield operation.kind, attempt

    def of(self, *kinds: Kind) -> list[Operation]:
        """Return the operations of these kinds, in order."""
        return [operation for operation in self.operations if operation.kind in kinds]

    def save(self, path: Path) -> None:
        """Write the operations as JSON lines."""
        with path.open("w") as file:
            for operation in self.operations:
                file.write(json.dumps(asdict(operation), default=str) + "\n")
