"""The commands of `python -m app`.

Each module of `app.cli.commands` has the commands of one name, in a `typer.Typer` named `cli`.
`app.cli.main` lists the names, and imports a module only when its command is used.
"""
