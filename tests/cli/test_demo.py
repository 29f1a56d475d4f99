"""`demo` as a person calls it."""

from pathlib import Path

from tests.support.commands import run_command
from tests.support.history import KEY


def test_the_demonstration_is_loaded_once(database_url: str, tmp_path: Path) -> None:
    environment = {
        "DATABASE_URL": database_url,
        "AUDIT_KEY": KEY.get_secret_value(),
        "PROOF_DIR": str(tmp_path / "proofs"),
    }
    first = run_command("demo", **environment)
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout.startswith("Loaded a demonstration: 12 customers, ")
    assert len(list((tmp_path / "proofs").iterdir())) == 1
    again = run_command("demo", **environment)
    assert again.exit_code == 0
    assert "already" in again.stdout
