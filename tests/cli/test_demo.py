"""`demo` as a person calls it."""

from tests.support.commands import run_command
from tests.support.history import KEY


def test_the_demonstration_is_loaded_once(database_url: str) -> None:
    first = run_command("demo", DATABASE_URL=database_url, AUDIT_KEY=KEY.get_secret_value())
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.startswith("Loaded a demonstration: 12 customers, ")
    again = run_command("demo", DATABASE_URL=database_url, AUDIT_KEY=KEY.get_secret_value())
    assert again.exit_code == 0
    assert "already" in again.stdout
