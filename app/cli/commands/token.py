"""`token`: API tokens."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from app import clock
from app.cli import table
from app.cli.context import fail
from app.cli.database import change, read
from app.database.engine import Connection
from app.identity import tokens, users
from app.identity.tokens import create, revoke

cli = typer.Typer()

_COLUMNS: Final = {
    "uuid": "token",
    "username": "user",
    "name": "name",
    "created_at": "created",
    "expires_at": "expires",
    "state": "state",
}
"""The columns of the table, with their headings."""
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def lifetime(value: str) -> timedelta:
    """Parse a lifetime: a whole number of minutes, hours, days or weeks, such as 90d."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", value)
    if match is None:
        raise typer.BadParameter("a lifetime is a number and m, h, d or w, such as 12h or 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


@cli.command("create")
def create_token(
    username: Annotated[str, typer.Argument(help="The user of the token.")],
    name: Annotated[str, typer.Option(help="A name for its purpose, shown in lists.")] = "",
    valid: Annotated[
        timedelta | None,
        typer.Option(
            "--lifetime",
            parser=lifetime,
            metavar="TIME",
            help="Lifetime, such as 12h or 90d; without it the token does not expire.",
        ),
    ] = None,
) -> None:
    """Create a token and print its key, which cannot be shown again."""
    if "\0" in name:
        raise typer.BadParameter("NUL characters cannot be stored")

    async def run(connection: Connection) -> str | None:
        user = await users.find(connection, username)
        return user and await create(connection, user.id, name=name, lifetime=valid)

    key = change("token create", run)
    if key is None:
        fail(f"There is no user {username}.")
    typer.echo("This key is shown only once:", err=True)
    typer.echo(key)


@cli.command("list")
def list_tokens(
    username: Annotated[str | None, typer.Argument(help="Only the tokens of this user.")] = None,
) -> None:
    """List tokens, newest first. Keys are stored as digests and cannot be listed."""

    async def run(connection: Connection) -> Sequence[Mapping[Any, Any]] | None:
        if username is not None and await users.find(connection, username) is None:
            return None
        return await tokens.find_all(connection, username)

    found = read("token list", run)
    if found is None:
        fail(f"There is no user {username}.")
    table.show([_format_row(token) for token in found], _COLUMNS)


def _format_row(token: Mapping[Any, Any]) -> dict[str, Any]:
    state = "active"
    if token["revoked_at"] is not None:
        state = "revoked"
    elif token["expires_at"] is not None and token["expires_at"] <= clock.now():
        state = "expired"
    elif not token["is_active"]:
        state = "user inactive"
    times = {
        name: token[name] and f"{token[name]:%Y-%m-%d %H:%M}"
        for name in ("created_at", "expires_at")
    }
    return {**token, **times, "state": state}


@cli.command("revoke")
def revoke_token(
    token: Annotated[UUID, typer.Argument(help="The UUID of the token in `token list`.")],
) -> None:
    """Revoke a token at once."""
    if not change("token revoke", lambda connection: revoke(connection, token)):
        fail(f"There is no valid token {token}.")
    typer.echo(f"The token {token} is revoked.")
