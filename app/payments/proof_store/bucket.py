"""Proofs as objects of a bucket with the API of Amazon S3.

A proof is collected in a temporary file of this host and uploaded once it is whole, so that a slow
client holds no connection to the store, and a refused proof never reaches it. Every request has the
digest of its body, which the store checks. An object appears as a whole or not at all.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from math import ceil
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.payments.proof_store.folder import translate_disk_errors
from app.payments.proof_store.store import ProofMissing, StoredProof
from app.payments.proofs import is_key, require_key
from app.proof_settings import ProofStoreSettings
from app.storage import StorageUnavailable
from app.urls import BucketUrl

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Config

_PART_BYTES: Final = 5 * 1024 * 1024
"""The size of the parts of a large upload; no store permits smaller ones."""
_PARTS_AT_ONCE: Final = 2
_PIECE_BYTES: Final = 256 * 1024
_PAGE: Final = 1000
_PROBE: Final = "probe-"
_LONGEST_READ: Final = timedelta(hours=1)
"""The whole time of a download, which slow clients set."""
_RETRIES: Final = 2
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3}[ \w]*)")


@dataclass(frozen=True, slots=True)
class BucketStore:
    """The objects of a bucket below a prefix, each named by its key."""

    bucket: S3Store
    location: str
    max_bytes: int
    timeout: float
    """Seconds in which the store must answer a request, or take a part of an upload."""

    def begin(self, key: str) -> "_ObjectUpload":
        """Begin an object, which is collected in a temporary file."""
        return _ObjectUpload(self, require_key(key))

    async def put(self, name: str, content: IO[bytes], size: int) -> None:
        """Store an object and check that it is whole; raises `StorageUnavailable`.

        A name is used once, so nothing depends on whether the store refuses one that exists.
        """
        try:
            async with self._answering(max(1, ceil(size / _PART_BYTES))):
                await obstore.put_async(
                    self.bucket,
                    name,
                    content,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_AT_ONCE,
                )
        except ProofMissing as error:  # it is the bucket that is missing
            raise StorageUnavailable(str(error)) from error
        stored = await self._head(name)
        if stored is None or stored.size != size:
            raise StorageUnavailable("the object store has not stored the whole object")

    async def find(self, key: str) -> StoredProof | None:
        """Return the object with this key, or None; raises `StorageUnavailable`."""
        return await self._head(require_key(key))

    async def _head(self, name: str) -> StoredProof | None:
        try:
            async with self._answering():
                found = await obstore.head_async(self.bucket, name)
        except ProofMissing:
            return None
        return StoredProof(found["size"], found["last_modified"].timestamp())

    async def read(self, key: str, start: int = 0) -> AsyncGenerator[bytes, None]:
        """Yield the content from an offset on; raises `ProofMissing` and `StorageUnavailable`."""
        require_key(key)
        options: GetOptions | None = {"range": {"offset": start}} if start else None
        async with self._answering():
            pieces = (await obstore.get_async(self.bucket, key, options=options)).stream(
                _PIECE_BYTES
            )
        while True:
            async with self._answering():
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece

    async def delete(self, name: str) -> None:
        """Delete an object, if it exists; raises `StorageUnavailable`."""
        try:
            async with self._answering():
                await obstore.delete_async(self.bucket, name)
        except ProofMissing:  # a store may answer so
            return

    async def list(self) -> dict[str, float]:
        """Return the keys of the objects, and when each was stored; raises `StorageUnavailable`."""
        keys: dict[str, float] = {}
        pages = self.bucket.list(chunk_size=_PAGE)
        while True:
            async with self._answering():
                page = await anext(pages, None)
            if page is None:
                return keys
            keys |= {
                each["path"]: each["last_modified"].timestamp()
                for each in page
                if is_key(each["path"])
            }

    async def now(self) -> float:
        """Return the time of an object that is stored now; raises `StorageUnavailable`."""
        return await self.probe()

    async def probe(self) -> float:
        """Write, read and delete an object; return the time of the store, in seconds since 1970.

        Raises `StorageUnavailable`.
        """
        name, content = f"{_PROBE}{secrets.token_hex(8)}", secrets.token_bytes(16)
        with BytesIO(content) as file:
            await self.put(name, file, len(content))
        async with self._answering():
            found = await obstore.get_async(self.bucket, name)
            read = bytes(await found.bytes_async())
        await self.delete(name)
        if read != content:
            raise StorageUnavailable("the object store returns other content than it was given")
        return found.meta["last_modified"].timestamp()

    @asynccontextmanager
    async def _answering(self, parts: int = 1) -> AsyncIterator[None]:
        """Limit the time of a request of so many parts, and translate its errors.

        The library raises Python's own errors for an object or a bucket that is missing, and for a
        request that the store does not know.
        """
        seconds = self.timeout * parts
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise StorageUnavailable(f"no answer of the object store in {seconds:g} s") from None
        except FileNotFoundError as error:
            raise ProofMissing(_describe(error)) from error
        except (BaseError, NotImplementedError) as error:
            raise StorageUnavailable(_describe(error)) from error


class _ObjectUpload:
    """An object that is collected in a temporary file, which has no name and ends with its use."""

    def __init__(self, store: BucketStore, key: str) -> None:
        self._store = store
        self._key = key
        self._file: IO[bytes] | None = None

    def write(self, data: bytes | bytearray) -> None:
        """Add a piece; raises `StorageUnavailable` if the disk of temporary files fails."""
        with translate_disk_errors():
            if self._file is None:
                self._file = TemporaryFile()  # noqa: SIM115 - `discard` closes it
            self._file.write(data)

    async def finish(self) -> None:
        """Upload the content; raises `StorageUnavailable`."""
        if self._file is None:
            raise ValueError("a proof without content")
        with translate_disk_errors():
            size = self._file.tell()
            self._file.seek(0)
        await self._store.put(self._key, self._file, size)
        self.discard()

    def discard(self) -> None:
        """Drop the content."""
        if self._file is not None:
            self._file.close()
            self._file = None


def open_bucket(url: BucketUrl, settings: ProofStoreSettings) -> BucketStore:
    """Return the store of a bucket. Nothing connects yet.

    Credentials that are not in the settings come from the sources of AWS: a session token, a web
    identity, the container or the instance.
    """
    config: S3Config = {"disable_bulk_delete": True}  # not every store knows it
    if settings.aws_region is not None:
        config["region"] = settings.aws_region
    endpoint = settings.aws_endpoint_url_s3
    if endpoint is not None:
        config["endpoint"] = str(endpoint).rstrip("/")
    if settings.aws_access_key_id is not None:
        config["access_key_id"] = settings.aws_access_key_id
    if settings.aws_secret_access_key is not None:
        config["secret_access_key"] = settings.aws_secret_access_key.get_secret_value()
    timeout = timedelta(seconds=settings.proof_store_timeout)
    client: ClientConfig = {
        "allow_http": endpoint is not None and endpoint.scheme == "http",
        "connect_timeout": timeout,
        "timeout": _LONGEST_READ,
    }
    if settings.aws_ca_bundle is not None:
        client["root_certificate"] = settings.aws_ca_bundle.read_bytes()
    bucket = S3Store(
        url.bucket,
        prefix=url.prefix or None,
        config=config,
        client_options=client,
        retry_config={"max_retries": _RETRIES, "retry_timeout": timeout},
    )
    return BucketStore(bucket, str(url), settings.proof_max_bytes, settings.proof_store_timeout)


def _describe(error: BaseException) -> str:
    """Return the store's answer in a few words, without the pages of details that follow it."""
    text = str(error)
    for pattern in (_CODE, _STATUS):
        if found := pattern.search(text):
            return f"the object store answered {found[1].strip()}"
    return text.partition("\n")[0]
