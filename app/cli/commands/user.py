"""`user`: users of the API."""

from typing import Annotated
from uuid import UUID

import typer

from app.cli.context import fail
from app.cli.database import change
from app.identity.users import CustomerNotFound, NewUser, UsernameTaken, create

cli = typer.Typer()


@cli.command("create")
def create_user(  # noqa: PLR0913, PLR0917 - the options of a command
    username: Annotated[str, typer.Argument(help="A unique name.")],
    full_name: Annotated[str, typer.Option(help="Full name, shown in messages.")] = "",
    email: Annotated[str, typer.Option(help="Address for notifications.")] = "",
    staff: Annotated[
        bool, typer.Option("--staff", help="Allow to see and change everything.")
    ] = False,
    support: Annotated[bool, typer.Option("--support", help="Allow to see everything.")] = False,
    owner_of: Annotated[
        list[UUID] | None, typer.Option(help="A customer that the user owns; repeatable.")
    ] = None,
) -> None:
    """Create a user and print its UUID."""
    if not username.strip() or "\0" in username + full_name + email:
        raise typer.BadParameter("a username cannot be blank or contain NUL characters")
    user = NewUser(username, full_name, email, staff, support, tuple(owner_of or ()))
    try:
        uuid = change("user create", lambda connection: create(connection, user))
    except (UsernameTaken, CustomerNotFound) as error:
        fail(str(error))
    typer.echo(str(uuid))
