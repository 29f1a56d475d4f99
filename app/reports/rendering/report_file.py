"""Writes the invoices of a month to a file, in bounded memory."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

from sqlalchemy import RowMapping

from app.billing.periods import Period
from app.database import timeouts
from app.database.engine import Database
from app.progress import UNWATCHED, Progress
from app.reports.queries.report_rows import ReportRows, count_report_rows, stream_report_rows
from app.reports.rendering.columns import COLUMNS, Cell, Column, ReportFormat
from app.reports.rendering.csv_file import CsvFile
from app.reports.rendering.xlsx_file import XlsxFile


class FileFormat(StrEnum):
    """The formats of report files, which are also the endings of their names."""

    CSV = "csv"
    XLSX = "xlsx"


MEDIA_TYPES = {
    FileFormat.CSV: "text/csv",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class Report:
    """The contents of a report file."""

    period: Period
    rows: ReportRows
    file_format: FileFormat

    @property
    def file_name(self) -> str:
        """The name of the file, such as `invoices-2026-10-items.csv`."""
        month = f"{self.period.year:04}-{self.period.month:02}"
        return f"invoices-{month}-{self.rows}.{self.file_format}"


class _ReportFile(Protocol):
    def write(self, rows: Sequence[Sequence[Cell]]) -> None: ...

    def close(self) -> None: ...


async def write_report(
    database: Database,
    report: Report,
    report_format: ReportFormat,
    file: BinaryIO,
    progress: Progress = UNWATCHED,
) -> int:
    """Write a report as of one moment to an open file; return the number of rows.

    A month without invoices gives a file with the heading alone.
    """
    columns = COLUMNS[report.rows]
    written = await asyncio.to_thread(_open, report, columns, report_format, file)
    done = 0
    async with database.snapshot() as connection:
        # Sorting the items of a large month may take long.
        await timeouts.disable_timeouts(connection)
        if progress.is_watched:
            total = await count_report_rows(connection, report.period, report.rows)
            progress.begin("rows", total)
        async for rows in stream_report_rows(connection, report.period, report.rows):
            await asyncio.to_thread(_write, written, rows, columns, report_format)
            done += len(rows)
            progress.reach(done)
    await asyncio.to_thread(written.close)
    return done


def _open(
    report: Report, columns: Sequence[Column], report_format: ReportFormat, file: BinaryIO
) -> _ReportFile:
    if report.file_format is FileFormat.CSV:
        return CsvFile(file, columns, report_format.currency)
    return XlsxFile(file, columns, report_format.currency, str(report.period))


def _write(
    file: _ReportFile,
    rows: Sequence[RowMapping],
    columns: Sequence[Column],
    report_format: ReportFormat,
) -> None:
    file.write([[column.cell(row, report_format) for column in columns] for row in rows])
