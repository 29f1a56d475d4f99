"""Small file systems that can be filled, on machines that allow mounting them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    """Mount a file system of `size` bytes at `place` for the length of the context."""
    place.mkdir(parents=True, exist_ok=True)
    options = f"size={size},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def read_only(place: Path) -> Iterator[None]:
    """Make the file system mounted at `place` read-only for the length of the context."""
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)


@cache
def no_small_disk() -> str:
    """Return the reason why this machine cannot mount one; empty if it can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "a file system can be mounted only by root"
    with tempfile.TemporaryDirectory(prefix="invoicing-") as folder:
        try:
            with small_disk(Path(folder) / "disk", 1_000_000):
                return ""
        except subprocess.CalledProcessError:
            return "this machine lets nobody mount a file system"


def fill(place: Path) -> Path:
    """Fill the file system with one file, and return its path."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler
