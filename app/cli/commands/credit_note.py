"""`credit-note`: write and check the documents of credit notes."""

from pathlib import Path
from typing import Annotated, Final

import typer

from app.billing.periods import Period
from app.cli.documents import (
    DocumentFormat,
    DocumentKeeper,
    OnlyProfile,
    ProfileName,
    Selection,
    check_documents,
    write_documents,
)
from app.cli.months import parse_month
from app.credit_notes.queries.documents import find_by_id, find_by_reference, list_issued
from app.database.engine import Database
from app.invoices.queries.documents import IssuedDocument
from app.settings import Settings

cli = typer.Typer()


async def _find(database: Database, _settings: Settings, credit_note_id: int) -> IssuedDocument:
    async with database.reading() as connection:
        return await find_by_id(connection, credit_note_id)


_KEEPER: Final = DocumentKeeper("credit note", find_by_reference, list_issued, _find)
_Month = Annotated[
    Period | None,
    typer.Option(
        parser=parse_month,
        metavar="YYYY-MM",
        help="All credit notes of this month of issue.",
    ),
]


@cli.command()
def document(  # noqa: PLR0913, PLR0917 - the options of the command
    credit_note: Annotated[
        str | None,
        typer.Argument(help="The UUID or the number of a credit note, such as CN-1 or 1."),
    ] = None,
    format: Annotated[  # noqa: A002 - the option's name
        DocumentFormat, typer.Option(help="The format of the file.")
    ] = DocumentFormat.PDF,
    profile: ProfileName = None,
    month: _Month = None,
    every: Annotated[bool, typer.Option("--all", help="All credit notes.")] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write, or - for standard output; of several credit notes, the"
            " folder.",
        ),
    ] = None,
) -> None:
    """Write the document of a credit note, or those of a month or of all credit notes."""
    write_documents(_KEEPER, Selection(credit_note, month, every), format, profile, output)


@cli.command()
def check(month: _Month = None, profile: OnlyProfile = None) -> None:
    """Check whether credit notes can be written in each profile, and print what is missing."""
    check_documents(_KEEPER, month, profile, "--all")
