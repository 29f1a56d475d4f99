"""The commands of `python -m app`.

Each module of `app.cli.commands` has a function `register` that adds its commands. `app.cli.main`
lists the commands and imports a module only when one of its commands is used.
"""
