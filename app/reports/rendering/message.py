"""The mail of a report: a short text, and the invoices of a month as CSV and XLSX."""

import asyncio
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from email.message import EmailMessage
from os import SEEK_END
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast
from zipfile import ZIP_DEFLATED, ZipFile

from app.billing.periods import Period
from app.database.engine import Database
from app.documents.formats import Formats
from app.notifications.rendering import new_message
from app.reports.queries.report_rows import ReportRows
from app.reports.rendering.columns import ReportFormat
from app.reports.rendering.report_file import MEDIA_TYPES, FileFormat, Report, write_report
from app.settings import Settings

MAX_PLAIN_BYTES: Final = 2 * 1024 * 1024
"""A larger CSV file is attached in a ZIP file."""
MAX_ATTACHED_BYTES: Final = 12 * 1024 * 1024
"""Of all files together, which are a third larger in a message; many mail servers refuse 20 MB."""


@dataclass(frozen=True, slots=True)
class _Attachment:
    name: str
    media_type: str
    file: BinaryIO

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self.file.seek(0, SEEK_END)


async def compose_report(
    database: Database, settings: Settings, period: Period, *, recipient: str, message_id: str
) -> EmailMessage:
    """Return the message with the items of a month; files that are too large are named only.

    Raises InvalidAddress if the recipient is not an e-mail address.
    """
    month = Formats(settings.locale, settings.currency).month(period)
    message = new_message(
        settings, f"Invoices of {month}", recipient=recipient, message_id=message_id
    )
    report_format = ReportFormat(settings.currency, settings.finalization_grace_hours > 0)
    with ExitStack() as files:
        attachments: list[_Attachment] = []
        rows = 0
        for file_format in FileFormat:
            report = Report(period, ReportRows.ITEMS, file_format)
            file = cast("BinaryIO", files.enter_context(TemporaryFile()))
            rows = await write_report(database, report, report_format, file)
            attachment = _Attachment(report.file_name, MEDIA_TYPES[file_format], file)
            if file_format is FileFormat.CSV and attachment.size > MAX_PLAIN_BYTES:
                packed = cast("BinaryIO", files.enter_context(TemporaryFile()))
                await asyncio.to_thread(_zip, attachment, packed)
                attachment = _Attachment(f"{report.file_name}.zip", "application/zip", packed)
            attachments.append(attachment)
        fitting = _fitting(attachments)
        left_out = [each.name for each in attachments if each not in fitting]
        message.set_content(_text(month, period, rows, left_out), cte="quoted-printable")
        for each in fitting:
            each.file.seek(0)
            maintype, subtype = each.media_type.split("/")
            message.add_attachment(
                each.file.read(), maintype=maintype, subtype=subtype, filename=each.name
            )
    return message


def _fitting(attachments: list[_Attachment]) -> list[_Attachment]:
    """Return the attachments that fit into a message, in order."""
    fitting, total = [], 0
    for attachment in attachments:
        if total + attachment.size <= MAX_ATTACHED_BYTES:
            fitting.append(attachment)
            total += attachment.size
    return fitting


def _zip(plain: _Attachment, target: BinaryIO) -> None:
    plain.file.seek(0)
    with (
        ZipFile(target, "w", ZIP_DEFLATED) as archive,
        archive.open(plain.name, "w", force_zip64=True) as member,
    ):
        shutil.copyfileobj(plain.file, member)


def _text(month: str, period: Period, rows: int, left_out: list[str]) -> str:
    number = f"{rows:,} item" if rows == 1 else f"{rows:,} items"
    lines = [f"The invoices of {month} have {number}."]
    if not left_out:
        lines.append("They are attached as CSV and XLSX.")
    else:
        lines.append(f"Too large for this message: {', '.join(left_out)}.")
        option = f"--month {period.year:04}-{period.month:02}"
        lines.append(f"On the server, `python -m app report {option} -o FILE` writes the report.")
    return "\n".join(lines) + "\n"
