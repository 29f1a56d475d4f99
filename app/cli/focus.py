"""What `import --format focus` does: a cloud's cost export becomes invoices."""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from app.cli.importers import failures_in_a_line
from app.cli.progress import progress_bar
from app.cli.support import MISUSED, fail, load_settings, with_database

if TYPE_CHECKING:
    from app.database.engine import Database
    from app.exchange.focus.importer import Options
    from app.exchange.focus.outcome import Outcome
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
) -> None:
    """Import files one after the other; end the command where one is not, or not all, imported."""
    from app.exchange.focus.importer import Options  # noqa: PLC0415 - keeps --help fast

    if notify and not issue:
        fail("--notify goes with --issue.", code=MISUSED)
    chosen = Options(
        tax_percent=None if tax is None else _percent(tax),
        currency=currency.upper() if currency else None,
        issue=issue,
        notify=notify,
        keep_good=keep_good,
    )
    settings = load_settings()
    for source in sources:
        with failures_in_a_line(source):
            _import_file(source, settings, chosen)


def _percent(text: str) -> Decimal:
    try:
        percent = Decimal(text)
        exact = percent == percent.quantize(Decimal("0.01"))
    except InvalidOperation:
        exact = False
    if not exact or not 0 <= percent < 100:
        fail(f"--tax is of 100, from 0 to 99.99, and not {text}.", code=MISUSED)
    return percent


def _import_file(source: str, settings: "Settings", chosen: "Options") -> None:
    """Import a file and tell what was done, or end the command with why it was not."""
    from app.exchange.focus.importer import run  # noqa: PLC0415 - keeps --help fast
    from app.exchange.focus.problems import NotImported  # noqa: PLC0415

    async def action(database: "Database") -> "Outcome":
        with progress_bar(source, _STEPS) as bar:
            if bar is None:
                return await run(database, settings, Path(source), chosen)
            return await run(
                database, settings, Path(source), chosen, lambda part: bar(int(part * _STEPS))
            )

    try:
        outcome = with_database(action)
    except NotImported as error:
        fail(f"{source}: nothing was imported.", *(f"  {line}" for line in error.lines))
    typer.echo(f"{source}:")
    for line in outcome.lines():
        typer.echo(f"  {line}")
    if outcome.refused or outcome.not_issued:
        fail(f"{source}: some invoices were left as they are.")
