"""What a client has asked for and what it was told: every request, every answer, in their order."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from uuid import UUID

ABORTED = "aborted"
"""Why no answer came where the client itself went away."""
MAX_SECONDS = 10.0
"""Seconds within which any request must be answered, whatever has happened."""


class Kind(StrEnum):
    """What a request is."""

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

    @property
    def group(self) -> str:
        """The part of the load that it belongs to; a service that has recovered does all parts."""
        if self is Kind.PAID or self is Kind.NOTIFY:
            return self.value
        return "set" if self in ANNOTATIONS else "read"


ANNOTATIONS = {
    Kind.BACKEND_ID: "backend_id",
    Kind.PAYMENT_URL: "payment_url",
    Kind.REFERENCE_NUMBER: "reference_number",
}
"""What sets a text of an invoice, and the field that it sets."""
GROUPS = frozenset(kind.group for kind in Kind)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request, and its answer if there was one."""

    at: float
    """When it was sent, in seconds of the harness's own clock."""
    seconds: float
    """How long it took until the answer, or until it was clear that there is none."""
    status: int | None = None
    """None where no answer came."""
    failure: str = ""
    """Why no answer came; `ABORTED` where the client itself went away."""
    retry_after: str = ""
    sha256: str = ""
    """Digest of the answer's body."""
    well_formed: bool = True
    """Whether an error has the shape that is documented."""

    @property
    def end(self) -> float:
        """When it was over."""
        return self.at + self.seconds

    @property
    def unknown(self) -> bool:
        """Whether it is not known what it has changed."""
        return self.status is None or self.status >= 500

    @property
    def asks_again(self) -> bool:
        """Whether the same is to be sent once more: not known, or still in progress."""
        return self.unknown or (self.status == 409 and bool(self.retry_after))


@dataclass(slots=True)
class Operation:
    """Something that a client wants done: tried with one key until it is answered."""

    kind: Kind
    invoice: UUID | None = None
    value: str = ""
    """What is set; of a payment its day and the digest of its proof."""
    key: str = ""
    """The Idempotency-Key of all its attempts."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        """Whether the client was told that it is done."""
        return any(attempt.status == 200 for attempt in self.attempts)

    @property
    def uncertain(self) -> bool:
        """Whether it may have been done without anybody being told."""
        return not self.acknowledged and any(attempt.unknown for attempt in self.attempts)


@dataclass
class RequestLog:
    """All operations of a client, and what was wrong with an answer when it came."""

    operations: list[Operation] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    expected_notifications: set[UUID] = field(default_factory=set)
    """Invoices that are to be notified without a request, as with their close."""

    def open(
        self, kind: Kind, invoice: UUID | None = None, value: str = "", key: str = ""
    ) -> Operation:
        """Enter an operation that is about to be tried."""
        operation = Operation(kind, invoice, value, key)
        self.operations.append(operation)
        return operation

    def attempts(self) -> Iterator[tuple[Kind, Attempt]]:
        """Yield every request with its kind."""
        for operation in self.operations:
            for attempt in operation.attempts:
                yield operation.kind, attempt

    def of(self, *kinds: Kind) -> list[Operation]:
        """Return the operations of these kinds, in the order in which they were begun."""
        return [operation for operation in self.operations if operation.kind in kinds]

    def save(self, path: Path) -> None:
        """Write one operation a line, as JSON."""
        with path.open("w") as file:
            for operation in self.operations:
                file.write(json.dumps(asdict(operation), default=str) + "\n")
