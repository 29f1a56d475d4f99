"""`python -m app`: imports the module of a command when the command is used."""

import atexit
import gc
import importlib
import sys
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from app.cli.exit_codes import FAILED

COMMANDS: Final = {
    "run": ("run", "Run API and worker, on embedded servers unless settings name others."),
    "serve": ("serve", "Serve the API until SIGTERM or Ctrl-C."),
    "worker": ("worker", "Run jobs until SIGTERM or Ctrl-C."),
    "migrate": ("migrate", "Migrate the database."),
    "demo": ("demo", "Load demonstration data into an empty database."),
    "import": ("data", "Import data from JSON Lines, a FOCUS cost export or a Waldur's database."),
    "export": ("data", "Export all records as JSON Lines."),
    "report": ("report", "Write the invoices of a month as CSV or XLSX."),
    "invoice": ("invoice", "Pay or cancel an invoice; write or check documents."),
    "credit-note": ("credit_note", "Write or check the documents of credit notes."),
    "document": ("document", "Complete the documents of issued invoices."),
    "payment": ("payment", "List payments."),
    "proof": ("proof", "Read and copy proofs of payment."),
    "delivery": ("delivery", "List notifications and retry failed ones."),
    "job": ("job", "Run a job of the worker now."),
    "audit": ("audit", "Show the record of changes, verify it, or backfill it."),
    "doctor": ("doctor", "Check settings, servers, disk and backlog."),
    "user": ("user", "Create users."),
    "token": ("token", "Create, list and revoke API tokens."),
    "openapi": ("openapi", "Print the OpenAPI document."),
}
"""Each command: its module in `app.cli.commands`, and its line in `--help`."""
_GC_THRESHOLD: Final = 20_000
"""New objects between two cyclic garbage collections."""


class _LazyCommands(TyperGroup):
    """The commands, imported one by one, so that `--help` and each command start quickly.

    If the database becomes unavailable, a command prints one line.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, line = COMMANDS[cmd_name]
        try:
            commands = importlib.import_module(f"app.cli.commands.{module}").cli
        except ModuleNotFoundError as error:
            if error.name != "app.local":
                raise
            # `app.local` is for development machines; the container image does not have it.
            typer.echo(f"`{cmd_name}` is not available here: app.local is not installed.", err=True)
            raise typer.Exit(FAILED) from None
        parent = typer.Typer(rich_markup_mode=None)
        parent.add_typer(commands, name=cmd_name, help=line, no_args_is_help=True)
        group: Any = get_group(parent).commands[cmd_name]
        # A module either has a command of this name, or the commands of a group.
        return group.commands.get(cmd_name, group)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            # Imported by now, if a command used the database.
            errors = sys.modules.get("app.database.errors")
            if errors is None or not isinstance(error, errors.DatabaseUnavailable):
                raise
            typer.echo(f"The database is unavailable: {error}.", err=True)
            raise typer.Exit(FAILED) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


cli = typer.Typer(
    cls=_LazyCommands,
    help="An invoicing service for clouds, with the API of Waldur's invoices.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@cli.callback()
def _options() -> None:
    """Take no options of its own."""


def main() -> None:
    """Run the command that the arguments name."""
    # Modules, models and routes live until the end: collections while they are made, and the one at
    # exit, find little and would take a third of the time of a short command.
    gc.set_threshold(_GC_THRESHOLD)
    atexit.register(gc.freeze)
    cli(prog_name="python -m app")
