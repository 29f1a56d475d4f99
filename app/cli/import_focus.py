"""What `import --format focus` does: a cloud's cost export becomes invoices.

An export may come in several files: together they are one bill.
"""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import typer

from app.cli.context import fail, load_settings, one_line
from app.cli.database import with_database
from app.cli.exit_codes import MISUSED
from app.cli.import_formats import failures_in_a_line
from app.cli.progress import progress_bar
from app.database.engine import Database
from app.dataio.focus.errors import NotImported
from app.dataio.focus.import_report import Outcome
from app.dataio.focus.importer import Options, run
from app.settings import Settings

_STEPS = 1000


def import_focus(  # noqa: PLR0913 - one for each option
    sources: list[str],
    *,
    tax: str | None,
    currency: str | None,
    issue: bool,
    notify: bool,
    keep_good: bool,
    drop_tax_rows: bool,
    allow_equal_rows: bool,
    replace: bool,
) -> None:
    """Import files that are one bill together; end the command where not all is imported."""
    if notify and not issue:
        fail("--notify goes with --issue.", code=MISUSED)
    chosen = Options(
        tax_percent=None if tax is None else _percent(tax),
        currency=currency.upper() if currency else None,
        issue=issue,
        notify=notify,
        keep_good=keep_good,
        drop_tax_rows=drop_tax_rows,
        allow_equal_rows=allow_equal_rows,
        replace=replace,
    )
    paths = [Path(source) for source in sources]
    if len({path.resolve() for path in paths}) < len(paths):
        fail("A file is named twice, and would be billed twice.", code=MISUSED)
    name = sources[0] if len(sources) == 1 else f"{len(sources)} files"
    with failures_in_a_line(name):
        _import(name, paths, load_settings(), chosen)


def _percent(text: str) -> Decimal:
    try:
        percent = Decimal(text)
        exact = percent == percent.quantize(Decimal("0.01"))
    except InvalidOperation:
        exact = False
    if not exact or not 0 <= percent < 100:
        fail(f"--tax is of 100, from 0 to 99.99, and not {text}.", code=MISUSED)
    return percent


def _import(name: str, paths: list[Path], settings: Settings, chosen: Options) -> None:
    """Import files and tell what was done, or end the command with why they were not."""

    async def action(database: Database) -> Outcome:
        with progress_bar(name, _STEPS) as bar:
            if bar is None:
                return await run(database, settings, paths, chosen)
            return await run(
                database, settings, paths, chosen, lambda part: bar(int(part * _STEPS))
            )

    try:
        outcome = with_database(action, settings=settings)
    except NotImported as error:
        fail(f"{name}: nothing was imported.", *(f"  {one_line(line)}" for line in error.lines))
    typer.echo(f"{name}:")
    for line in outcome.lines():
        typer.echo(f"  {one_line(line)}")
    if outcome.refused or outcome.not_issued:
        fail(f"{name}: some invoices were left as they are.")
