"""Documents that an API process keeps in its memory."""

from typing import Final

from prometheus_client import Counter, Gauge

_LOOKUPS: Final = Counter(
    "invoicing_kept_documents_lookups_total",
    "Looks for a document in the memory of the process.",
    ["found"],
)
FOUND: Final = _LOOKUPS.labels("yes")
MISSED: Final = _LOOKUPS.labels("no")
KEPT_BYTES: Final = Gauge(
    "invoicing_kept_documents_bytes",
    "Memory of the process for documents (at most DOCUMENT_CACHE_BYTES).",
    multiprocess_mode="liveall",
)
