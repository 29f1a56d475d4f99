"""The cache of documents in the memory of an API process."""

from typing import Final

from prometheus_client import Counter, Gauge

_LOOKUPS: Final = Counter(
    "invoicing_kept_documents_lookups_total",
    "Lookups of a document in the cache.",
    ["found"],
)
HITS: Final = _LOOKUPS.labels("yes")
MISSES: Final = _LOOKUPS.labels("no")
CACHE_BYTES: Final = Gauge(
    "invoicing_kept_documents_bytes",
    "Memory used by the cache (at most DOCUMENT_CACHE_BYTES).",
    multiprocess_mode="liveall",
)
