"""Files of JSON Lines: read as a stream, whatever stands in them."""

import asyncio
import gzip
import io
import json
import os
import signal
import sys
import time
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.customers.models import Customer
from app.database.engine import Database
from app.dataio.import_report import RecordsRejected, RejectedRecord
from app.dataio.jsonl.importer import import_file
from app.dataio.jsonl.reader import UnreadableFile, read_lines
from app.invoices.models import Invoice, InvoiceItem
from app.settings import Settings
from tests.support.factories import Factories


def number(of: int) -> str:
    return str(UUID(int=of, version=4))


def customer_line(of: int, **values: Any) -> str:
    return json.dumps(
        {
            "kind": "customer",
            "uuid": number(of),
            "name": f"Customer {of}",
            "accounting_start_date": "2026-01-01T00:00:00Z",
            "created_at": "2026-01-01T00:00:00Z",
            **values,
        }
    )


def contents(data: bytes, longest: int = 1000) -> list[tuple[int, str]]:
    return [
        (
            line.number,
            str(line.content) if isinstance(line.content, RejectedRecord) else line.content.kind,
        )
        for line in read_lines(io.BytesIO(data), longest)
    ]


def write(file: Path, *lines: str) -> str:
    file.write_text("\n".join(lines), encoding="utf-8")
    return str(file)


async def count(connection: AsyncConnection, table: type[Any] = Customer) -> int:
    rows: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    return rows


def test_lines_may_have_any_line_ending() -> None:
    one = customer_line(1).encode()
    data = b"\xef\xbb\xbf" + one + b"\r\n\n  \n" + one + b"\n" + one
    assert contents(data) == [(1, "customer"), (4, "customer"), (5, "customer")]
    assert contents(b"") == contents(b"\xef\xbb\xbf") == contents(b"\n\n") == []


def test_an_error_names_the_line_and_not_the_value() -> None:
    one = customer_line(1).encode()
    data = b"\n".join(
        [
            b"{",
            b"[1]",
            b'{"name": "x"}',
            b'{"kind": "outbox"}',
            b'{"kind": "category", "uuid": "' + number(1).encode() + b'", "title": "\xff"}',
            customer_line(1, name="secret\0", more=1, archived="no").encode(),
            b"x" * 2000,
            one,
            b"y" * 5000,
        ]
    )
    parsed = contents(data)
    assert [line for line, _ in parsed] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert parsed[2][1] == "line 3: kind is missing"
    assert parsed[3][1] == "line 4: kind is not known"
    assert parsed[4][1].startswith("line 5: Invalid JSON")
    assert " at line " not in parsed[4][1]
    assert parsed[5][1] == (
        "line 6: name: NUL characters cannot be stored;"
        " archived: Input should be a valid boolean;"
        " more: Extra inputs are not permitted"
    )
    assert parsed[6][1] == "line 7: longer than 1000 bytes"
    assert parsed[7][1] == "customer"
    assert parsed[8][1] == "line 9: longer than 1000 bytes"
    assert not any("secret" in fault for _, fault in parsed)


async def test_an_invalid_line_ends_the_import_unless_keep_good(
    database: Database, settings: Settings, connection: AsyncConnection, tmp_path: Path
) -> None:
    lines = [customer_line(of) for of in range(1, 21)]
    lines[9] = customer_line(10, created_at="yesterday")
    file = write(tmp_path / "file.jsonl", *lines)
    with pytest.raises(RecordsRejected) as raised:
        await import_file(database, settings, file)
    assert [str(fault) for fault in raised.value.report.rejected] == [
        "line 10: created_at: a time must be a string like 2026-11-01T00:00:00Z"
    ]
    assert await count(connection) == 0
    report = await import_file(database, settings, file, keep_good=True)
    assert (report.rejected_count, await count(connection)) == (1, 19)


async def test_compressed_files_and_standard_input_are_imported(
    database: Database,
    settings: Settings,
    connection: AsyncConnection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = tmp_path / "file.jsonl.gz"
    packed.write_bytes(gzip.compress(customer_line(1).encode()))
    positions: list[int] = []
    await import_file(database, settings, str(packed), progress=positions.append)
    assert positions == [packed.stat().st_size]
    stdin = io.TextIOWrapper(io.BytesIO(customer_line(2).encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    await import_file(database, settings, "-")
    assert await count(connection) == 2


async def test_a_file_that_cannot_be_read_is_reported(
    database: Database, settings: Settings, connection: AsyncConnection, tmp_path: Path
) -> None:
    with pytest.raises(UnreadableFile, match="No such file"):
        await import_file(database, settings, str(tmp_path / "none.jsonl"))
    with pytest.raises(UnreadableFile, match="directory"):
        await import_file(database, settings, str(tmp_path))
    torn = tmp_path / "torn.gz"
    whole = gzip.compress("\n".join(customer_line(of) for of in range(1, 999)).encode())
    for data in (whole[:-500], b"no gzip", whole[:100] + b"\0\0\0\0" + whole[104:]):
        torn.write_bytes(data)
        with pytest.raises(UnreadableFile, match="not a complete gzip file"):
            await import_file(database, settings, str(torn))
    assert await count(connection) == 0


def many_items(invoices: int, items: int) -> Iterator[str]:
    yield customer_line(1)
    for of in range(invoices):
        invoice = number(1000 + of)
        yield json.dumps(
            {
                "kind": "invoice",
                "uuid": invoice,
                "customer": number(1),
                "year": 2000 + of // 12,
                "month": of % 12 + 1,
                "created": "2026-01-01",
            }
        )
        for each in range(items):
            yield json.dumps(
                {
                    "kind": "invoice_item",
                    "uuid": number(10**7 + of * items + each),
                    "invoice": invoice,
                    "name": f"Item {each}",
                    "unit_price": "1.2345678901",
                    "quantity": "2",
                    "unit": "hour",
                    "start": "2026-01-01T00:00:00Z",
                    "end": "2026-01-31T23:59:59Z",
                    "details": {"scope": f"server {each}", "hours": 2},
                }
            )


@pytest.mark.slow
async def test_fifty_thousand_lines_are_imported_in_bounded_memory(
    database: Database, settings: Settings, connection: AsyncConnection, tmp_path: Path
) -> None:
    file = tmp_path / "large.jsonl"
    with file.open("w") as output:
        output.writelines(f"{line}\n" for line in many_items(50, 1000))
    assert file.stat().st_size > 15_000_000
    tracemalloc.start(1)
    try:
        report = await import_file(database, settings, str(file))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.counts["invoice_item"].created == 50_000
    assert peak < 40_000_000
    sums = select(func.sum(Invoice.total_price), func.count()).where(Invoice.total_price > 0)
    assert (await connection.execute(sums)).one() == (Decimal("123500.00"), 50)


async def test_an_import_that_is_killed_leaves_nothing(
    database: Database, settings: Settings, connection: AsyncConnection, tmp_path: Path
) -> None:
    program = """
import asyncio, sys
from app.database.engine import Database
from app.dataio.jsonl.importer import import_file
from app.settings import Settings
settings = Settings()
asyncio.run(import_file(Database(settings), settings, "-"))
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdin=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "PROOF_DIR": str(tmp_path),
        },
        cwd=Path(__file__).parent.parent.parent,
    )
    assert process.stdin is not None
    # Two batches of items are written, and the file goes on.
    data = "".join(f"{line}\n" for line in many_items(12, 1000)).encode()
    process.stdin.write(data)
    await process.stdin.drain()
    until = time.monotonic() + 60
    inserted = text(
        "SELECT count(*) FROM pg_locks WHERE relation = 'invoice_items'::regclass"
        " AND mode = 'RowExclusiveLock'"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    while not (await connection.execute(inserted)).scalar_one():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    while (await connection.execute(inserted)).scalar_one():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    for table in (Customer, Invoice, InvoiceItem):
        assert await count(connection, table) == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "https://exa mple.com/",
        "https://pay.example.com/1\n",
        " https://pay.example.com/1",
        "https://pay.example.com/\tx",
        "https://pay.example.com:99999/",
        "https://us\u2100er@pay.example.com/",
        "javascript:alert(1)",
    ],
)
def test_an_invalid_payment_url_is_rejected(url: str) -> None:
    def line(payment_url: str) -> bytes:
        values = {"kind": "invoice", "uuid": number(1), "customer": number(2), "year": 2026,
                  "month": 11, "created": "2026-11-01", "payment_url": payment_url}  # fmt: skip
        return json.dumps(values).encode() + b"\n"

    data = line("https://pay.example.com/1") + line(url) + line("")
    assert contents(data) == [
        (1, "invoice"),
        (2, "line 2: payment_url: must be a URL like https://pay.example.com/1"),
        (3, "invoice"),
    ]


ITEM = {
    "kind": "invoice_item", "uuid": number(1), "invoice": number(2), "name": "", "unit_price": "1",
    "quantity": "1", "unit": "day", "start": "2026-11-01T00:00:00Z", "end": "2026-11-30T00:00:00Z",
}  # fmt: skip


@pytest.mark.parametrize(
    "details",
    ["[]", "null", '"text"', "7", '{"a":1e400}', '{"a":1' + "0" * 5000 + "}",
     '{"a":1e5000}', '{"a":0.1,"b":1' + "0" * 4100 + ".5}",
     '{"a":' + "[" * 150 + "]" * 150 + "}", '{"a":' * 190 + "1" + "}" * 190],
)  # fmt: skip
def test_details_that_no_response_could_contain_are_rejected(details: str) -> None:
    line = json.dumps(ITEM)[:-1] + f', "details": {details}}}\n'
    ((line_number, what),) = contents(line.encode(), 100_000)
    assert line_number == 1
    assert what.startswith("line 1: "), what


async def test_details_with_the_maximum_of_levels_and_digits_are_shown(
    database: Database, settings: Settings, tmp_path: Path, make: Factories, client: AsyncClient
) -> None:
    invoice, staff = await make.invoice(await make.customer()), await make.staff()
    deep = '{"a":0.5,"b":1' + "0" * 3999 + ',"c":' + "[" * 149 + "]" * 149 + "}"
    line = json.dumps(ITEM | {"invoice": str(invoice.uuid)})[:-1] + f', "details": {deep}}}'
    await import_file(database, settings, write(tmp_path / "deep.jsonl", line))
    for path in ("", f"{invoice.uuid}/", f"{invoice.uuid}/items/", f"{invoice.uuid}/history/"):
        answer = await client.get(f"/api/invoices/{path}", headers=staff.headers)
        assert answer.status_code == 200
        assert "[" * 149 in answer.text
