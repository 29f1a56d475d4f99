"""`demo` as a person calls it."""

from tests.cli.test_commands import app


def test_the_demonstration_is_loaded_once(database_url: str) -> None:
    first = app("demo", DATABASE_URL=database_url)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("Loaded a demonstration: 12 customers, ")
    again = app("demo", DATABASE_URL=database_url)
    assert again.returncode == 0
    assert "already" in again.stdout
