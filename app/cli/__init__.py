"""The commands of `python -m app`.

Each module of `app.cli.commands` has a function `register` that adds its commands; `app.cli.main`
finds it there. Commands import what they need when they run, so that `--help` answers at once.
"""
