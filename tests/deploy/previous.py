"""The code of earlier versions, from the history."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from tests.support.paths import ROOT

# Python 3.11.2, which Debian 12 has, does not know it.
_CAREFULLY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}


def code_before_migration(steps: int, place: Path) -> Path:
    """Write out the code as it was before the newest migration, or before one of `steps` back.

    That is the parent of the commit that brought the migration's file; before one that is not
    committed yet it is the last commit. The test is skipped where the history does not show it, and
    where that commit, which is no release, cannot be imported by this Python.
    """
    revisions = list(ScriptDirectory(str(ROOT / "migrations")).walk_revisions())
    if steps >= len(revisions):
        pytest.skip(f"there are no {steps + 1} migrations")
    if _git("rev-parse", "--show-toplevel").strip() != str(ROOT):
        pytest.skip("this is no checkout with a history")
    file = str(Path(revisions[steps - 1].path).relative_to(ROOT))
    added = _git("log", "--diff-filter=A", "--format=%H", "--", file).split()
    commit = f"{added[-1]}^" if added else "HEAD"
    if not _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"):
        pytest.skip(f"the history does not reach back to before {file}")
    archive = ["git", "archive", commit, "app", "migrations", "alembic.ini"]
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        files.extractall(place, **_CAREFULLY)
    imported = subprocess.run(
        [sys.executable, "-c", "import app.main"], cwd=place, capture_output=True, check=False
    )
    if imported.returncode:
        pytest.skip(f"{commit} cannot be imported by Python {sys.version.split()[0]}")
    return place


def _git(*arguments: str) -> str:
    """Return the output of git; nothing without git, or without the requested object."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
