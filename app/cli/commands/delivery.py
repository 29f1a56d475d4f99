"""`delivery`: list deliveries and retry failed ones."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from app.billing.enums import DeliveryState
from app.cli import table
from app.cli.context import fail
from app.cli.database import read, with_database
from app.database.engine import Connection, Database
from app.deliveries.schedule import CannotRetry, retry_delivery
from app.documents.document import print_credit_note_number
from app.notifications import queries
from app.progress import Progress
from app.reports.queries.report_mails import list_report_mails

cli = typer.Typer()

_COLUMNS = {
    "uuid": "delivery",
    "state": "state",
    "invoice_number": "invoice",
    "credit_note": "credit note",
    "report": "report",
    "recipient": "recipient",
    "attempts": "attempts",
    "next_attempt_at": "next attempt",
    "sent_at": "sent",
    "last_error": "last error",
}
"""The columns of the table and their headings."""
_OF_INVOICE: Final = (
    "invoice_number", "invoice_uuid", "credit_note_number", "credit_note_uuid", "customer_name",
)  # fmt: skip
"""The values that the mail of a report does not have."""


@cli.command("list")
def list_deliveries(
    state: Annotated[DeliveryState | None, typer.Option(help="Only those in this state.")] = None,
    invoice: Annotated[
        UUID | None,
        typer.Option(help="Only those of the invoice with this UUID and of its credit notes."),
    ] = None,
    credit_note: Annotated[
        UUID | None, typer.Option(help="Only those of the credit note with this UUID.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The maximum number of deliveries.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON array.")] = False,
) -> None:
    """List the mails of invoices, credit notes and reports, newest first."""

    async def run(connection: Connection) -> list[dict[Any, Any]]:
        found = await queries.list_deliveries(
            connection, state=state, invoice=invoice, credit_note=credit_note, limit=limit
        )
        deliveries = [{**delivery, "report": None} for delivery in found]
        if invoice is None and credit_note is None:
            mails = await list_report_mails(connection, state=state, limit=limit)
            deliveries += [dict.fromkeys(_OF_INVOICE) | dict(mail) for mail in mails]
        return sorted(deliveries, key=itemgetter("created_at"), reverse=True)[:limit]

    deliveries = read("delivery list", run)
    if as_json:
        table.show_json(deliveries)
    else:
        table.show([_format(delivery) for delivery in deliveries], _COLUMNS, right=["attempts"])


@cli.command("retry")
def retry_deliveries(
    deliveries: Annotated[list[UUID], typer.Argument(help="UUIDs of failed deliveries.")],
) -> None:
    """Retry failed deliveries, starting with the first attempt."""

    async def run(database: Database, progress: Progress) -> list[str]:
        progress.begin("deliveries", len(deliveries))
        problems = []
        for delivery in deliveries:
            try:
                async with database.transaction() as connection:
                    await retry_delivery(connection, delivery)
            except CannotRetry as problem:
                problems.append(str(problem))
            else:
                typer.echo(f"The delivery {delivery} is pending again.")
            progress.advance()
        return problems

    problems = with_database("delivery retry", run)
    if problems:
        fail(*problems)


def _format(delivery: Mapping[Any, Any]) -> Mapping[Any, Any]:
    moments = {
        name: delivery[name] and f"{delivery[name]:%Y-%m-%d %H:%M:%SZ}"
        for name in ("next_attempt_at", "sent_at")
    }
    number = delivery["credit_note_number"]
    credit_note = "" if number is None else print_credit_note_number(number)
    return {**delivery, **moments, "credit_note": credit_note}
