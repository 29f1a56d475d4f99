"""The disk of the proofs fails: the response is 503 with `Retry-After`, and no file is left."""

import os
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.main import create_app
from app.payments.models import Payment
from app.payments.proof_store.folder import FolderStore
from app.settings import Settings
from app.storage import StorageUnavailable
from faults.disk import fill, no_small_disk, read_only, small_disk
from tests.payments.payment_case import PROOF, UNAVAILABLE, PaymentCase
from tests.support.clients import client_of
from tests.support.factories import Factories


def contents(directory: Path) -> dict[str, bytes]:
    """Return the content of each file of a folder."""
    return {file.name: file.read_bytes() for file in directory.iterdir()}


@pytest.fixture
async def case(
    client: httpx.AsyncClient, connection: AsyncConnection, make: Factories
) -> PaymentCase:
    return await PaymentCase.prepare(client, connection, make)


async def test_a_folder_that_is_gone_is_not_made_again(
    case: PaymentCase, settings: Settings
) -> None:
    settings.proof_dir.rmdir()
    await case.is_refused()
    assert not settings.proof_dir.exists()
    settings.proof_dir.mkdir()
    assert await case.is_taken() == contents(settings.proof_dir)


async def test_a_file_in_place_of_the_folder(case: PaymentCase, settings: Settings) -> None:
    settings.proof_dir.rmdir()
    settings.proof_dir.touch()
    await case.is_refused()
    settings.proof_dir.unlink()
    settings.proof_dir.mkdir()
    assert await case.is_taken() == contents(settings.proof_dir)


@pytest.mark.skipif(bool(no_small_disk()), reason=no_small_disk())
async def test_a_disk_that_is_full_or_read_only(case: PaymentCase, settings: Settings) -> None:
    with small_disk(settings.proof_dir, 10_000_000):
        for content in (b"%PDF-1.7", PROOF):  # one that is written at its end, one while it arrives
            filler = fill(settings.proof_dir)
            await case.is_refused(content)
            assert list(settings.proof_dir.iterdir()) == [filler]
            filler.unlink()
            with read_only(settings.proof_dir):
                await case.is_refused(content)
            assert list(settings.proof_dir.iterdir()) == []
        assert await case.is_taken() == contents(settings.proof_dir)


@contextmanager
def no_larger_files_than(size: int) -> Iterator[None]:
    """Let the system refuse to this process what would be beyond that many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_write_that_fails_amid_an_upload(
    case: PaymentCase, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with no_larger_files_than(len(PROOF) // 2):
        await case.is_refused()
        assert list(settings.proof_dir.iterdir()) == []
    assert await case.is_taken() == contents(settings.proof_dir)
    log = capsys.readouterr().out
    assert "File too large" in log
    assert "Traceback" not in log
    assert "request failed" not in log


async def test_a_name_that_is_not_durable_is_no_proof(
    case: PaymentCase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def fails(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(EIO, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patch:
        # No disk of a test fails just here.
        patch.setattr(os, "fsync", fails)
        await case.is_refused()
    assert list(settings.proof_dir.iterdir()) == []
    assert await case.is_taken() == contents(settings.proof_dir)


async def test_a_file_that_cannot_be_removed_is_left_to_the_sweep(
    case: PaymentCase, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response is that of the first failure."""
    case.client.headers["If-Match"] = '"another state"'

    def fails(self: Path, *, missing_ok: bool = False) -> None:
        raise OSError(EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", fails)
        assert (await case.pay()).status_code == 412


async def test_a_missing_file_of_a_proof(case: PaymentCase, settings: Settings) -> None:
    assert await case.is_taken() == contents(settings.proof_dir)
    payment = (await case.connection.execute(select(Payment.uuid))).scalar_one()
    path = f"/api/payments/{payment}/proof/"
    [file] = settings.proof_dir.iterdir()
    aside = settings.proof_dir.with_name("aside")

    async def is_unavailable() -> None:
        for method in ("GET", "HEAD"):
            answer = await case.client.request(method, path)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            assert method == "HEAD" or answer.json() == UNAVAILABLE

    shutil.copy(file, aside)
    file.unlink()
    await is_unavailable()
    file.mkdir()
    await is_unavailable()
    file.rmdir()
    file.write_bytes(PROOF[:-1])  # what a disk that was full has left
    await is_unavailable()
    aside.replace(file)
    assert (await case.client.get(path)).content == PROOF


async def test_the_service_starts_without_its_folder(settings: Settings, tmp_path: Path) -> None:
    """Requests without proofs are served: a process that died is started again on any disk."""
    (tmp_path / "file").touch()
    broken = settings.model_copy(update={"proof_dir": tmp_path / "file" / "proofs"})
    with pytest.raises(StorageUnavailable):
        FolderStore(broken.proof_dir, 1).create()
    app = create_app(broken)
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/health/ready")).status_code == 200
