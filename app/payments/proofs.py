"""Proofs of payment: files under PROOF_DIR, one place for all processes.

A proof arrives piece by piece in a temporary file there. `keep` checks it, makes it durable and
gives it its name, a random key: what the sender called it is only a text beside it. A payment is
recorded after that; where that fails, the file is removed, or swept later. A disk that fails raises
`DiskUnavailable`.
"""

import asyncio
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final, Self
from unicodedata import category

from app.disk import DiskUnavailable, translate_disk_errors
from app.logging import describe_error, get_logger

UNFINISHED: Final = ".part"
"""How the names of files end that are still arriving."""

_PROBE: Final = ".now-"
_KEY: Final = re.compile(r"[0-9a-f]{32}")
_NAME_MAX: Final = 200
_SUFFIX_MAX: Final = 20
_HEAD: Final = 64
_WRITE_AT_ONCE: Final = 256 * 1024

_SIGNATURES: Final = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
)
MEDIA_TYPES: Final = (
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/tiff",
    "image/webp",
    "image/heic",
)
"""What a proof may be."""

_logger = get_logger(__name__)

_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
)


class ProofTooLarge(Exception):
    """More bytes than a proof may have."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The proof is larger than {max_bytes} bytes.")


class ProofRefused(Exception):
    """A file that is no proof: empty, or of a type that is not taken."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that is kept, as its payment tells of it."""

    key: str
    name: str
    media_type: str
    size: int
    """In bytes."""
    sha256: str

    def matches(self, content: bytes) -> bool:
        """Tell whether this is the proof's content, unharmed."""
        return sha256(content).hexdigest() == self.sha256


class ProofStore:
    """The folder of proofs.

    With `creates`, it is made where it is missing. A running service does not do so: a folder that
    is gone may be on a disk that is not mounted, and would be hidden once that is back.
    """

    def __init__(self, directory: Path, max_bytes: int, *, creates: bool = True) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self._creates = creates

    def create(self) -> None:
        """Make the folder where it is missing; raises `DiskUnavailable`."""
        with translate_disk_errors():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def begin(self, name: str) -> "IncomingProof":
        """Begin a proof that its sender calls `name`; nothing is written before its bytes."""
        return IncomingProof(self, safe_name(name), creates=self._creates)

    def path(self, key: str) -> Path:
        """Return where the proof with this key is; raises `ValueError` for what is no key."""
        if not _KEY.fullmatch(key):
            raise ValueError("not the key of a proof")
        return self.directory / key

    async def check(self, key: str, size: int) -> os.stat_result:
        """Return the state of a proof's file; raises `DiskUnavailable` if it cannot be read whole.

        A payment names it, so that it must be there: it comes back with its disk, or from a backup.
        """
        return await asyncio.to_thread(self._check, self.path(key), size)

    def _check(self, path: Path, size: int) -> os.stat_result:
        with translate_disk_errors(), path.open("rb") as file:
            state = os.fstat(file.fileno())
        if state.st_size != size:
            raise DiskUnavailable(None, "The file of a proof is not whole")
        return state

    async def remove(self, key: str) -> None:
        """Remove a proof, if it is there; what cannot be removed is left to the sweep."""
        try:
            await asyncio.to_thread(self.path(key).unlink, missing_ok=True)
        except OSError as error:
            _logger.warning("proof left to the sweep", key=key, error=describe_error(error))

    def older_than(self, age: timedelta) -> list[str]:
        """Return the names of files last written longer ago than so, unfinished ones included.

        They are keys, or keys with `UNFINISHED` behind; other files are not the store's own. What
        time it is, a file that is written now tells: a host's clock, if it were a day ahead, would
        make proofs old that have just arrived.
        """
        if not self.directory.is_dir():
            return []
        with NamedTemporaryFile(dir=self.directory, prefix=_PROBE) as probe:
            own = Path(probe.name).name
            with os.scandir(self.directory) as files:
                written = {
                    file.name: file.stat().st_mtime
                    for file in files
                    if file.name == own or _KEY.fullmatch(file.name.removesuffix(UNFINISHED))
                }
        latest = written.pop(own) - age.total_seconds()
        return [name for name, moment in written.items() if moment < latest]


class IncomingProof:
    """A proof on its way in. As a context, it leaves no temporary file behind."""

    def __init__(self, store: ProofStore, name: str, *, creates: bool) -> None:
        self.name = name
        self.size = 0
        self._key = secrets.token_hex(16)
        self._store = store
        self._creates = creates
        self._head = b""
        self._digest = sha256()
        self._waiting = bytearray()
        self._file: BinaryIO | None = None

    @property
    def _unfinished(self) -> Path:
        return self._store.directory / f"{self._key}{UNFINISHED}"

    async def write(self, data: bytes) -> None:
        """Take the next piece; raises `ProofTooLarge` and `DiskUnavailable`."""
        self.size += len(data)
        if self.size > self._store.max_bytes:
            raise ProofTooLarge(self._store.max_bytes)
        if len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        self._waiting += data
        if len(self._waiting) >= _WRITE_AT_ONCE:
            await asyncio.to_thread(self._write_waiting)

    def check(self) -> str:
        """Return the media type, by content; raises `ProofRefused`, in words for the sender."""
        if not self.size:
            raise ProofRefused("The submitted file is empty.")
        found = media_type(self._head)
        if found is None:
            raise ProofRefused(
                "The submitted file is of an unknown type."
                " Submit a PDF, PNG, JPEG, TIFF, WebP or HEIC file."
            )
        return found

    async def keep(self) -> Proof:
        """Make the proof durable under its key; raises `ProofRefused` and `DiskUnavailable`."""
        found = self.check()
        await asyncio.to_thread(self._finish)
        return Proof(self._key, self.name, found, self.size, self._digest.hexdigest())

    async def discard(self) -> None:
        """Remove what has arrived; does nothing after `keep`."""
        await asyncio.to_thread(self.remove_unfinished)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Not awaited in a thread: a request that is cancelled cleans up all the same.
        self.remove_unfinished()

    def _write_waiting(self) -> None:
        with translate_disk_errors():
            self._write_to(self._opened())

    def _opened(self) -> BinaryIO:
        if self._file is None:
            if self._creates:
                self._store.create()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.fdopen(os.open(self._unfinished, flags, mode=0o600), "wb")
        return self._file

    def _write_to(self, file: BinaryIO) -> None:
        self._digest.update(self._waiting)
        file.write(self._waiting)
        self._waiting.clear()

    def _finish(self) -> None:
        kept = self._store.path(self._key)
        with translate_disk_errors():
            file = self._opened()
            self._write_to(file)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._unfinished.rename(kept)
            self._file = None
            try:
                _sync_directory(self._store.directory)
            except OSError:
                kept.unlink(missing_ok=True)
                raise

    def remove_unfinished(self) -> None:
        """Remove the temporary file; does nothing after `keep`."""
        self._waiting.clear()
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):  # what was not written yet is not wanted any more
            file.close()
        try:
            self._unfinished.unlink(missing_ok=True)
        except OSError as error:
            _logger.warning("proof left to the sweep", key=self._key, error=describe_error(error))


def _sync_directory(directory: Path) -> None:
    # A rename is durable once its directory is; Windows cannot open one, and does not need to.
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def media_type(head: bytes) -> str | None:
    """Tell the media type of a file from its first bytes; None for what is not taken as proof."""
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        # The major brand, its version, then the brands that it is compatible with.
        length = min(int.from_bytes(head[:4]), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
        if brands & _HEIC_BRANDS:
            return "image/heic"
    return None


def safe_name(name: str) -> str:
    """Return a file name as a text to show: no path, no control characters, not too long."""
    last = re.split(r"[/\\]", name)[-1]
    # Control, format (which reverse a line, say), surrogate, line and paragraph separators.
    words = "".join(c for c in last if category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if len(words) > _NAME_MAX:
        suffix = Path(words).suffix
        suffix = suffix if len(suffix) <= _SUFFIX_MAX else ""
        words = words[: _NAME_MAX - len(suffix)] + suffix
    return words if words.strip(".") else "proof"
