"""The build of another commit is checked out once and refused if it cannot run here."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import builds
from benchmarks.builds import check_out
from benchmarks.console import Unusable
from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.usefixtures("child_processes"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout of Git"),
]


def test_a_commit_is_checked_out_once(tmp_path: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    build = check_out("HEAD", tmp_path)
    assert (build.commit, build.code) == (head[:9], tmp_path / head)
    assert (build.code / "app" / "__main__.py").exists()
    (build.code / "mark").touch()
    assert (check_out(head[:12], tmp_path).code / "mark").exists()


def test_a_build_with_the_same_lock_runs_in_this_environment(tmp_path: Path) -> None:
    code = check_out("HEAD", tmp_path).code
    (code / "requirements" / "service.txt").write_bytes(
        (ROOT / "requirements" / "service.txt").read_bytes()
    )
    assert check_out("HEAD", tmp_path).python == Path(sys.executable)


def test_an_unknown_commit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no such commit"):
        check_out("no-such-branch", tmp_path)


def test_a_build_with_further_migrations_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "_REVISIONS", Path("tests/benchmarks"))
    code = check_out("HEAD", tmp_path).code
    (code / "tests" / "benchmarks" / "9999_later.py").touch()
    with pytest.raises(Unusable, match=r"has migrations that are not here: 9999_later\.py"):
        check_out("HEAD", tmp_path)
