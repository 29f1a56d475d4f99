"""The build of another commit, to be measured beside this one."""

import io
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.console import Unusable, progress

ROOT = Path(__file__).parents[1]
_LOCK = Path("requirements/service.txt")
_REVISIONS = Path("migrations/versions")


@dataclass(frozen=True)
class Build:
    """A version of the service that can be run."""

    commit: str
    """The abbreviated hash of the commit; "" for the working tree."""
    code: Path
    python: Path
    """The interpreter that has the packages of its lock file."""


THIS_BUILD = Build("", ROOT, Path(sys.executable))


def check_out(commit: str, folder: Path) -> Build:
    """Return the build of a commit, checked out below the folder unless it is there.

    It runs in this environment if its lock file is the same, else in one of its own. Raises
    Unusable if there is no such commit, or if its code cannot run on this version's tables.
    """
    full = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").decode().strip()
    short = full[:9]
    code = folder / full
    if not code.exists():
        progress(f"Checking out {short}.")
        unfinished = folder / f"{full}.new"
        unfinished.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(_git("archive", full))) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.rename(code)
    # Code of an earlier commit works on the tables of a later one, not the other way round.
    unknown = _revisions(code) - _revisions(ROOT)
    if unknown:
        raise Unusable(f"{short} has migrations that are not here: {', '.join(sorted(unknown))}.")
    return Build(short, code, _environment(code, short))


def _environment(code: Path, short: str) -> Path:
    if (code / _LOCK).read_bytes() == (ROOT / _LOCK).read_bytes():
        return Path(sys.executable)
    progress(f"Installing the packages of {short}, whose lock file differs.")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(ROOT / "tools" / "install"), str(code / ".venv"), str(_LOCK), version]
    ended = subprocess.run(command, cwd=code, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise Unusable(f"The packages of {short} cannot be installed:\n{ended.stderr}")
    return code / ".venv" / "bin" / "python"


def _revisions(code: Path) -> set[str]:
    return {path.name for path in (code / _REVISIONS).glob("*.py")}


def _git(*arguments: str) -> bytes:
    ended = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if ended.returncode:
        reason = ended.stderr.decode().strip() or "there is no such commit"
        raise Unusable(f"`git {' '.join(arguments)}` failed: {reason}.")
    return ended.stdout
