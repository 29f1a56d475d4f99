"""`audit`: show the record of changes, verify it, or backfill it."""

import json
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from sqlalchemy import RowMapping

from app.audit.backfill import BackfillResult, backfill
from app.audit.labels import describe
from app.audit.subject_record import read_record
from app.audit.verify import VerificationResult
from app.audit.verify import verify as find_discrepancies
from app.cli.context import fail, load
from app.cli.database import with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.database.engine import Database
from app.progress import Progress
from app.settings import AuditSettings

cli = typer.Typer()

_INDENT: Final = " " * 4


@cli.command()
def show(
    uuid: Annotated[
        UUID,
        typer.Argument(
            help="The UUID of an invoice, a credit, an affiliate, a payment profile or a payment."
        ),
    ],
) -> None:
    """Print the changes of one record, oldest first, with their actors.

    The UUID may be that of a record that was deleted.
    """

    async def run(database: Database, _progress: Progress) -> bool:
        shown: tuple[str, int] | None = None
        async with database.snapshot() as connection:
            async for row in read_record(connection, uuid):
                entry = row["kind"], row["sequence"]
                if entry != shown:
                    typer.echo(_entry_heading(row))
                shown = entry
                typer.echo(f"{_INDENT}{_row_heading(row)}")
                for field, values in _changed_fields(row).items():
                    typer.echo(f"{_INDENT * 2}{field}: {values}")
        return shown is not None

    if not with_database("audit show", run):
        fail(f"No change of {uuid} is recorded.")


def _entry_heading(row: RowMapping) -> str:
    actor = row["username"] or "the service"
    if row["impersonator_username"]:
        actor = f"{row['impersonator_username']} as {actor}"
    details = [f"by {actor}", f"operation {row['operation']}"]
    details += [f"{name} {row[column]}" for column, name in _DETAILS.items() if row[column]]
    label = describe(row["operation"], row["comment"]).removesuffix(".")
    time = row["recorded_at"].isoformat()
    return (
        f"{row['kind'].replace('_', ' ')} {row['sequence']}. {time} {label} ({'; '.join(details)})"
    )


_DETAILS: Final = {"token": "token", "request_id": "request"}


def _row_heading(row: RowMapping) -> str:
    if row["was"] is None:
        verb = "created"
    elif row["became"] is None:
        verb = "deleted"
    else:
        verb = "changed"
    return f"{row['row_kind'].replace('_', ' ')} {row['row_uuid']} {verb}"


def _changed_fields(row: RowMapping) -> dict[str, str]:
    """Return the values of each field that differs, before and after, as JSON."""
    was, became = _parse(row["was"]), _parse(row["became"])
    if was is None or became is None:
        return {field: _as_json(value) for field, value in (was or became or {}).items()}
    return {
        field: f"{_as_json(was.get(field))} -> {_as_json(value)}"
        for field, value in became.items()
        if value != was.get(field)
    }


def _parse(row: str | None) -> dict[str, Any] | None:
    """Parse a row; amounts keep their digits."""
    return None if row is None else json.loads(row, parse_float=Decimal)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


@cli.command()
def verify() -> None:
    """Check every entry of the record, and compare every invoice with it.

    Prints one line for each discrepancy. Exits with code 1 if there is any.
    """
    settings = load(AuditSettings)

    async def run(database: Database, progress: Progress) -> VerificationResult:
        result = VerificationResult()
        async for discrepancy in find_discrepancies(database, settings, result, progress):
            typer.echo(str(discrepancy))
        return result

    result = with_database("audit verify", run)
    typer.echo(str(result))
    if result.discrepancies:
        raise typer.Exit(FAILED)


@cli.command()
def adopt(
    why: Annotated[str, typer.Option(help="The reason; it is stored in each new entry.")],
) -> None:
    """Seal changes that have no entry, and start the record of invoices that have none.

    Use it for changes written by a release without a record. Run `verify` first and check the
    discrepancies: this command accepts the current data as it is.
    """
    if not why.strip():
        fail("A reason is needed.", code=MISUSED)
    key = load(AuditSettings).audit_key

    async def run(database: Database, progress: Progress) -> BackfillResult:
        return await backfill(database, key, why.strip(), progress)

    typer.echo(str(with_database("audit adopt", run)))
