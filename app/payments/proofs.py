"""Proofs of payment: files in PROOF_DIR, which all processes share.

A proof arrives in pieces, in a temporary file. `finish` checks it, makes it durable and names it by
a random key; the sender's name is stored with the payment. The payment is recorded after that. If
that fails, the file is removed, or swept later. A failing disk raises `DiskUnavailable`.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final
from unicodedata import category

from app.disk import DiskUnavailable
from app.domain_errors import LimitExceeded
from app.logging import describe_error, get_logger

UNFINISHED: Final = ".part"
"""The suffix of a file that is still arriving."""

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
"""The media types of proofs."""

_logger = get_logger(__name__)

_HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
)


class ProofTooLarge(LimitExceeded):
    """The proof is larger than PROOF_MAX_BYTES."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The proof is larger than {max_bytes} bytes.")


class ProofRefused(ValueError):
    """The file is empty or of another media type than `MEDIA_TYPES`."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A stored proof, as its payment describes it."""

    key: str
    name: str
    media_type: str
    size: int
    """In bytes."""
    sha256: str

    def matches(self, content: bytes) -> bool:
        """Return whether the content has the proof's digest."""
        return sha256(content).hexdigest() == self.sha256


@dataclass(frozen=True, slots=True)
class ProofStore:
    """The folder of proofs.

    `creates` says whether a missing folder is created. A running service does not: the folder may
    be on a disk that is not mounted, which would hide the files in a new folder later.
    """

    directory: Path
    max_bytes: int
    """The maximum size of a proof."""
    creates: bool = field(default=True, kw_only=True)

    def create(self) -> None:
        """Create the folder if it is missing; raises `DiskUnavailable`."""
        with _translate_disk_errors():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Return the path of the proof with this key; raises `ValueError` for an invalid key."""
        if not _KEY.fullmatch(key):
            raise ValueError("not the key of a proof")
        return self.directory / key

    async def check(self, key: str, size: int) -> os.stat_result:
        """Return the stat of a proof's file; raises `DiskUnavailable` if it is not whole.

        A payment refers to the file: it will be back with its disk, or from a backup.
        """
        return await asyncio.to_thread(self._check, self.path(key), size)

    def _check(self, path: Path, size: int) -> os.stat_result:
        with _translate_disk_errors(), path.open("rb") as file:
            state = os.fstat(file.fileno())
        if state.st_size != size:
            raise DiskUnavailable(None, "The file of a proof is truncated")
        return state

    async def remove(self, key: str) -> None:
        """Remove a proof, if it exists; the sweep removes it later if this fails."""
        try:
            await asyncio.to_thread(self.path(key).unlink, missing_ok=True)
        except OSError as error:
            _logger.warning("proof left to the sweep", key=key, error=describe_error(error))

    def older_than(self, age: timedelta) -> list[str]:
        """Return the names of files last written longer ago than `age`, unfinished ones included.

        A name is a key, or a key and `UNFINISHED`; other files do not belong to the store. The time
        is that of a file that is written now: with the host's clock a day ahead, new proofs would
        look old.
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
    """A proof that is arriving. It is used with `closing`, which leaves no temporary file."""

    field = "proof"
    """The field of a request that has the proof."""

    def __init__(self, store: ProofStore) -> None:
        self.max_bytes = store.max_bytes
        self.count = 0
        """Files that have begun. Only the last one is received."""
        self._store = store
        self._name = ""
        self._size = 0
        self._key = ""
        self._unfinished = store.directory
        self._head = b""
        self._digest = sha256()
        self._waiting = bytearray()
        self._file: BinaryIO | None = None

    async def begin(self, name: str) -> None:
        """Begin a file with the sender's name, which replaces an earlier one.

        The first bytes create the file.
        """
        if self.count:
            await asyncio.to_thread(self.close)
        self.count += 1
        self._name = safe_name(name)
        self._size = 0
        self._key = secrets.token_hex(16)
        self._unfinished = self._store.directory / f"{self._key}{UNFINISHED}"
        self._head = b""
        self._digest = sha256()

    async def write(self, data: bytes) -> None:
        """Write the next piece; raises `ProofTooLarge` and `DiskUnavailable`."""
        self._size += len(data)
        if self._size > self.max_bytes:
            raise ProofTooLarge(self.max_bytes)
        if len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        self._waiting += data
        if len(self._waiting) >= _WRITE_AT_ONCE:
            await asyncio.to_thread(self._write_waiting)

    def check(self) -> str:
        """Return the media type by content; raises `ProofRefused` with a message for the sender."""
        if not self._size:
            raise ProofRefused("The submitted file is empty.")
        found = media_type(self._head)
        if found is None:
            raise ProofRefused(
                "The submitted file is of an unknown type."
                " Submit a PDF, PNG, JPEG, TIFF, WebP or HEIC file."
            )
        return found

    async def finish(self) -> Proof:
        """Check the proof and store it durably; raises `ProofRefused` and `DiskUnavailable`."""
        found_type = self.check()
        await asyncio.to_thread(self._make_durable)
        return Proof(self._key, self._name, found_type, self._size, self._digest.hexdigest())

    def close(self) -> None:
        """Remove the temporary file; does nothing after `finish`.

        A cancelled request must remove its file, too: call it directly, not in a thread.
        """
        self._waiting.clear()
        if self._file is None:
            return
        file, self._file = self._file, None
        with suppress(OSError):  # the unwritten rest is to be dropped
            file.close()
        try:
            self._unfinished.unlink(missing_ok=True)
        except OSError as error:
            _logger.warning("proof left to the sweep", key=self._key, error=describe_error(error))

    def _write_waiting(self) -> BinaryIO:
        with _translate_disk_errors():
            if self._file is None:
                if self._store.creates:
                    self._store.create()
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
                self._file = os.fdopen(os.open(self._unfinished, flags, mode=0o600), "wb")
            self._digest.update(self._waiting)
            self._file.write(self._waiting)
            self._waiting.clear()
            return self._file

    def _make_durable(self) -> None:
        target = self._store.directory / self._key
        with _translate_disk_errors():
            file = self._write_waiting()
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._unfinished.rename(target)
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
                target.unlink(missing_ok=True)
                raise


@contextmanager
def _translate_disk_errors() -> Iterator[None]:
    """Raise every OSError in the context as `DiskUnavailable`."""
    try:
        yield
    except DiskUnavailable:
        raise
    except OSError as error:
        raise DiskUnavailable(error.errno, error.strerror) from error


def media_type(head: bytes) -> str | None:
    """Return the media type of a file by its first bytes; None if it is no type of proof."""
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        # The major brand, its version, then the compatible brands.
        length = min(int.from_bytes(head[:4]), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
        if brands & _HEIC_BRANDS:
            return "image/heic"
    return None


def safe_name(name: str) -> str:
    """Return a file name to display: without path and control characters, of limited length."""
    last = re.split(r"[/\\]", name)[-1]
    # Categories: control, format (such as right-to-left marks), surrogate, line, paragraph.
    text = "".join(c for c in last if category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp")).strip()
    if len(text) > _NAME_MAX:
        suffix = Path(text).suffix
        suffix = suffix if len(suffix) <= _SUFFIX_MAX else ""
        text = text[: _NAME_MAX - len(suffix)] + suffix
    return text if text.strip(".") else "proof"
