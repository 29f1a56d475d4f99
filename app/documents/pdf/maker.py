"""Makes PDFs in processes of their own, with bounds on memory and time.

A document of thousands of lines keeps a processor busy for a second and needs hundreds of
megabytes. Neither may slow down or end the process that serves requests.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from anyio import BrokenWorkerProcess, CapacityLimiter, fail_after, to_process
from anyio.lowlevel import RunVar

from app.documents.document import FrozenDocument, parse_document, parse_lines
from app.documents.pdf.errors import PdfProcessDied, PdfTimeout
from app.documents.pdf.rendering import make_pdf_with_e_invoice, make_summed_up_pdf
from app.documents.printed_lines import InvoiceLine, LineSummary
from app.documents.texts import choose_texts

MEMORY_LIMIT: Final = 1 << 30
"""The most bytes of address space of a process."""
TIME_LIMIT: Final = 60.0
"""Seconds from the call to the PDF, waiting for a process included."""
PROCESSES: Final = 2
"""The processes of an event loop that work at a time."""
_Lines = TypeVar("_Lines")
_shared_limiter: Final = RunVar[CapacityLimiter]("pdf_processes")


class PdfMaker:
    """Makes PDFs in processes, which are started when needed and reused.

    All makers of an event loop share `PROCESSES`, unless one is given a number of its own.
    Processes end with the first task of the event loop, or after five minutes without work.
    Cancelling a call, as a timeout does, kills its process; the next call starts another.
    """

    def __init__(
        self,
        *,
        processes: int | None = None,
        default_locale: str = "en",
        time_limit: float = TIME_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self._limiter = None if processes is None else CapacityLimiter(processes)
        self._default_locale = default_locale
        self._time_limit = time_limit
        self._memory_limit = memory_limit

    async def make(self, document: bytes, batches: Sequence[bytes]) -> bytes:
        """Return a document as PDF, with its e-invoice inside where that can be written.

        `document` and `batches` are JSON, as `parse_document` and `parse_lines` read it: thousands
        of lines would take this process a tenth of a second to read. Raises PdfTimeout after the
        time limit, PdfProcessDied if the process was killed or had too little memory, and PdfError
        if the PDF cannot be made.
        """
        return await self._run(_make_pdf, document, batches)

    async def make_summed_up(self, document: bytes, summary: Sequence[InvoiceLine]) -> bytes:
        """Return a document that has too many lines for an e-invoice inside, as `make` does."""
        return await self._run(_make_summed_up_pdf, document, summary)

    def begin_summary(self, document: FrozenDocument) -> LineSummary:
        """Return a summary without lines, in the language of the PDF."""
        return LineSummary(document, choose_texts(document.language, self._default_locale))

    async def _run(
        self,
        make: Callable[[bytes, Sequence[_Lines], str, int], bytes],
        document: bytes,
        lines: Sequence[_Lines],
    ) -> bytes:
        try:
            with fail_after(self._time_limit):
                return await to_process.run_sync(
                    make,
                    document,
                    lines,
                    self._default_locale,
                    self._memory_limit,
                    cancellable=True,
                    limiter=self._limiter or _share_limiter(),
                )
        except TimeoutError:
            raise PdfTimeout(f"The PDF took more than {self._time_limit:g} seconds.") from None
        except (BrokenWorkerProcess, MemoryError) as error:
            raise PdfProcessDied("The process that made the PDF died.") from error


def _share_limiter() -> CapacityLimiter:
    try:
        return _shared_limiter.get()
    except LookupError:
        limiter = CapacityLimiter(PROCESSES)
        _shared_limiter.set(limiter)
        return limiter


def _make_pdf(
    document: bytes, batches: Sequence[bytes], default_locale: str, memory_limit: int
) -> bytes:
    _limit_process(memory_limit)
    lines = [line for batch in batches for line in parse_lines(batch)]
    return make_pdf_with_e_invoice(parse_document(document), lines, default_locale=default_locale)


def _make_summed_up_pdf(
    document: bytes, summary: Sequence[InvoiceLine], default_locale: str, memory_limit: int
) -> bytes:
    _limit_process(memory_limit)
    return make_summed_up_pdf(parse_document(document), summary, default_locale=default_locale)


def _limit_process(memory_limit: int) -> None:
    """Limit the memory of this process, where the system can."""
    # Each thread of the typesetter reserves address space, and there is a process per processor.
    os.environ["RAYON_NUM_THREADS"] = "1"
    if sys.platform == "linux":
        import resource  # noqa: PLC0415  # Windows has none

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
