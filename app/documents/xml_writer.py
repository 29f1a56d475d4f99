"""The common part of the writers of XML: each is made for one document and writes it in parts."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from app.documents.document import DocumentLine, FrozenDocument
from app.documents.einvoice import EInvoiceLine, derive, derive_line, no_charges
from app.documents.profiles import Profile


class XmlWriter(ABC):
    """Writes `begin()`, the batches of `lines(…)` and `end()`, which are the file when joined.

    The memory it takes does not depend on the number of lines. The same document gives the same
    bytes each time. Requirements are not checked here.
    """

    def __init__(self, document: FrozenDocument, profile: Profile) -> None:
        self._invoice = derive(document, profile)
        self._written = 0

    def begin(self) -> bytes:
        """Return the bytes before the lines."""
        return self._head().encode()

    def lines(self, batch: Sequence[DocumentLine]) -> bytes:
        """Return the bytes of a batch of lines; those with a price of zero are left out."""
        parts = []
        for line in batch:
            if line.price:
                self._written += 1
                parts.append(self._line(derive_line(line, self._written)))
        return "".join(parts).encode()

    def end(self) -> bytes:
        """Return the bytes after the lines."""
        only_line = "" if self._written else self._line(no_charges())
        return (only_line + self._tail()).encode()

    @abstractmethod
    def _head(self) -> str: ...

    @abstractmethod
    def _line(self, line: EInvoiceLine) -> str: ...

    @abstractmethod
    def _tail(self) -> str: ...
