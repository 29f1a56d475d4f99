"""Imports a JSON Lines file in one transaction."""

from collections.abc import Callable, Iterator

from app.billing.currencies import Currency
from app.database.engine import Database
from app.dataio.import_report import ImportReport, RejectedRecord
from app.dataio.jsonl.prefetch import prefetch
from app.dataio.jsonl.reader import MAX_LINE_BYTES, Line, open_input, read_lines
from app.dataio.loader import import_transaction
from app.dataio.prepared_records import PreparedRecord, prepare
from app.settings import Settings


async def import_file(
    database: Database,
    settings: Settings,
    name: str,
    *,
    keep_good: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Import a file, or standard input for `-`. A name that ends in `.gz` is decompressed.

    Raises `UnreadableFile`, and the exceptions of `import_transaction`, which explains `keep_good`.
    Calls `progress` with the number of bytes that have been read from the file.
    """
    base64_bytes = settings.proof_max_bytes * 4 // 3
    max_line_bytes = max(MAX_LINE_BYTES, base64_bytes + 64 * 1024)
    with open_input(name) as (stream, position):
        async with (
            import_transaction(database, settings, keep_good=keep_good) as loader,
            prefetch(_prepare(read_lines(stream, max_line_bytes), settings.currency)) as lines,
        ):
            async for line in lines:
                match line:
                    case PreparedRecord():
                        await loader.add_prepared(line)
                    case Line(content=RejectedRecord() as rejected):
                        loader.reject(rejected)
                if progress is not None:
                    progress(position())
    return loader.report


def _prepare(lines: Iterator[Line], currency: Currency) -> Iterator[PreparedRecord | Line]:
    """Prepare the records; yield the other lines as they are."""
    for line in lines:
        if isinstance(line.content, RejectedRecord):
            yield line
        else:
            yield prepare(line.content, line.number, line.size, currency)
