"""The machine, the commit and the versions of a measurement."""

import os
import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app import clock
from benchmarks.builds import ROOT
from benchmarks.console import progress


def machine(postgresql: str) -> dict[str, Any]:
    """Return the machine, the day, the commit and the versions."""
    git = shutil.which("git")
    commit = ""
    if git is not None:
        described = [git, "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(
            described, cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
    progress(f"Commit {commit or 'unknown'}, {os.cpu_count()} cores, PostgreSQL {postgresql}.")
    packages = ("fastapi", "uvicorn", "sqlalchemy", "asyncpg", "pydantic")
    return {
        "commit": commit,
        "day": clock.now().date().isoformat(),
        "cores": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "postgresql": postgresql,
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
