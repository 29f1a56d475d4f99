"""`demo` as a person calls it."""

from tests.cli.test_commands import app
from tests.support.history import KEY


def test_the_demonstration_is_loaded_once(database_url: str) -> None:
    first = app("demo", DATABASE_URL=database_url, AUDIT_KEY=KEY.get_secret_value())
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith("Loaded a demonstration: 12 customers, ")
    again = app("demo", DATABASE_URL=database_url, AUDIT_KEY=KEY.get_secret_value())
    assert again.returncode == 0
    assert "already" in again.stdout
