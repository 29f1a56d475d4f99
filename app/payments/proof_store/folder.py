"""Proofs as files of a folder, which all processes share."""

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final

from app.logging import describe_error, get_logger
from app.payments.proof_store.store import (
    UNFINISHED,
    ProofMissing,
    StoredProof,
)
from app.payments.proofs import is_key, require_key
from app.storage import StorageUnavailable

_PROBE: Final = ".now-"
_READ_AT_ONCE: Final = 256 * 1024

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FolderStore:
    """A folder of proofs, each a file named by its key.

    `creates` says whether a missing folder is created. A running service does not: the folder may
    be on a disk that is not mounted, which would hide the files in a new folder later.
    """

    directory: Path
    max_bytes: int
    creates: bool = field(default=True, kw_only=True)

    @property
    def location(self) -> str:
        """The folder."""
        return str(self.directory)

    def create(self) -> None:
        """Create the folder if it is missing; raises `StorageUnavailable`."""
        with translate_disk_errors():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Return the path of the proof with this key; raises `ValueError` for an invalid key."""
        return self.directory / require_key(key)

    def begin(self, key: str) -> "_FileUpload":
        """Begin a file, which gets its name when it is finished. The first piece creates it."""
        return _FileUpload(self, key)

    async def find(self, key: str) -> StoredProof | None:
        """Return the proof with this key, or None; raises `StorageUnavailable`."""
        return await asyncio.to_thread(self._find, self.path(key))

    def _find(self, path: Path) -> StoredProof | None:
        try:
            with translate_disk_errors(), self._open(path) as file:
                state = os.fstat(file.fileno())
        except ProofMissing:
            return None
        return StoredProof(state.st_size, state.st_mtime)

    async def read(self, key: str, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the content from an offset on; raises `ProofMissing` and `StorageUnavailable`."""
        file = await asyncio.to_thread(self._open, self.path(key), start)
        with file:
            while piece := await asyncio.to_thread(_read_piece, file):
                yield piece

    def _open(self, path: Path, start: int = 0) -> BinaryIO:
        with translate_disk_errors():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                raise ProofMissing("it is not in the store") from None
            file.seek(start)
            return file

    async def delete(self, name: str) -> None:
        """Delete a file, if it exists; raises `StorageUnavailable`."""
        require_key(name.removesuffix(UNFINISHED))
        await asyncio.to_thread(self._delete, self.directory / name)

    def _delete(self, path: Path) -> None:
        with translate_disk_errors():
            path.unlink(missing_ok=True)

    async def list(self) -> dict[str, float]:
        """Return the names of the files, unfinished ones included, and when each was written."""
        return await asyncio.to_thread(self._list)

    def _list(self) -> dict[str, float]:
        if not self.directory.is_dir():
            return {}
        with translate_disk_errors(), os.scandir(self.directory) as files:
            return {
                file.name: file.stat().st_mtime
                for file in files
                if is_key(file.name.removesuffix(UNFINISHED))
            }

    async def now(self) -> float:
        """Return the time of a file that is written now."""
        return await asyncio.to_thread(self._now)

    def _now(self) -> float:
        with (
            translate_disk_errors(),
            NamedTemporaryFile(dir=self.directory, prefix=_PROBE) as probe,
        ):
            return os.fstat(probe.fileno()).st_mtime


class _FileUpload:
    """A file that is arriving, under a temporary name in the folder."""

    def __init__(self, store: FolderStore, key: str) -> None:
        self._store = store
        self._target = store.path(key)
        self._unfinished = self._target.with_name(f"{key}{UNFINISHED}")
        self._file: BinaryIO | None = None

    def write(self, data: bytes | bytearray) -> None:
        """Write a piece; raises `StorageUnavailable`."""
        with translate_disk_errors():
            if self._file is None:
                if self._store.creates:
                    self._store.create()
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
                self._file = os.fdopen(os.open(self._unfinished, flags, mode=0o600), "wb")
            self._file.write(data)

    async def finish(self) -> None:
        """Make the file durable, then its name; raises `StorageUnavailable`."""
        await asyncio.to_thread(self._make_durable)

    def _make_durable(self) -> None:
        with translate_disk_errors():
            file = self._file
            if file is None:
                raise ValueError("a proof without content")
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._unfinished.rename(self._target)
            self._file = None
            try:
                if os.name == "posix":  # Windows neither can nor need sync a directory
                    # A rename is durable once its directory is synced.
                    directory = os.open(self._store.directory, os.O_RDONLY)
                    try:
                        os.fsync(directory)
                    finally:
                        os.close(directory)
            except OSError:
                self._target.unlink(missing_ok=True)
                raise

    def discard(self) -> None:
        """Remove the temporary file; does nothing after `finish`."""
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):  # the unwritten rest is to be dropped
            file.close()
        try:
            self._unfinished.unlink(missing_ok=True)
        except OSError as error:
            key = self._target.name
            _logger.warning("proof left to the sweep", key=key, error=describe_error(error))


def _read_piece(file: BinaryIO) -> bytes:
    with translate_disk_errors():
        return file.read(_READ_AT_ONCE)


@contextmanager
def translate_disk_errors() -> Iterator[None]:
    """Raise an OSError in the context as `StorageUnavailable`."""
    try:
        yield
    except StorageUnavailable:
        raise
    except OSError as error:
        raise StorageUnavailable(error.strerror or str(error)) from error
