"""Proofs of payment on disk: types by content, names, limits, and leftovers."""

import asyncio
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from app.payments.proof_store.folder import FolderStore
from app.payments.proof_store.incoming import IncomingProof
from app.payments.proof_store.store import UNFINISHED, older_than
from app.payments.proofs import Proof, ProofRefused, ProofTooLarge, media_type, safe_name

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "some" / "proofs", 1024 * 1024)


def files(store: FolderStore) -> list[str]:
    return sorted(file.name for file in store.directory.glob("*"))


async def keep(store: FolderStore, content: bytes, name: str = "proof.pdf") -> Proof:
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin(name)
        for at in range(0, len(content), 100_000):
            await incoming.write(content[at : at + 100_000])
        return await incoming.finish()


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (PDF, "application/pdf"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"\xff\xd8\xff\xdb\0\x43", "image/jpeg"),
        (b"II*\0\x08\0\0\0", "image/tiff"),
        (b"MM\0*\0\0\0\x08", "image/tiff"),
        (b"II+\0\x08\0\0\0", "image/tiff"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "image/heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafheix", "image/heic"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", None),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", None),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1heic", None),  # a brand behind the box is none
        (b"\xff\xff\xff\xffftypmif1", None),
        (b"\0\0\0\0ftyp", None),
        (b"RIFF\x24\0\0\0WAVEfmt ", None),
        (b"GIF89a", None),
        (b"<html>%PDF-1.7", None),
        (b" %PDF-1.7", None),
        (b"PK\x03\x04", None),
        (b"MZ", None),
        (b"%PDF", None),
        (b"", None),
    ],
)
def test_the_type_is_detected_by_content(head: bytes, found: str | None) -> None:
    assert media_type(head) == found


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("receipt.pdf", "receipt.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\receipt õ.pdf", "receipt õ.pdf"),
        ("a\0b\r\nc\x1b\x85.pdf", "abc.pdf"),
        ("\u202efdp.exe\ud800", "fdp.exe"),
        ("..", "proof"),
        ("", "proof"),
        ("dir/", "proof"),
        ("x" * 500 + ".pdf", "x" * 196 + ".pdf"),
        ("a." + "x" * 500, "a." + "x" * 198),
    ],
)
def test_a_name_is_only_a_text(name: str, safe: str) -> None:
    assert safe_name(name) == safe
    assert len(safe.encode()) < 1000


async def test_a_proof_is_stored_under_a_random_key(store: FolderStore) -> None:
    content = PDF + os.urandom(700_000)
    proof = await keep(store, content, "../receipt.pdf")
    assert store.path(proof.key).read_bytes() == content
    assert proof.name == "receipt.pdf"
    assert proof.media_type == "application/pdf"
    assert proof.size == len(content)
    assert proof.sha256 == sha256(content).hexdigest()
    assert files(store) == [proof.key]
    assert store.path(proof.key).stat().st_mode & 0o777 == 0o600
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert (await keep(store, content)).key != proof.key


async def test_a_proof_arrives_on_disk_not_in_memory(store: FolderStore) -> None:
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("p")
        await incoming.write(PDF)
        for _ in range(8):
            await incoming.write(b"x" * 100_000)
        (unfinished,) = files(store)
        assert unfinished.endswith(UNFINISHED)
        assert (store.directory / unfinished).stat().st_size > 500_000
    assert files(store) == []


async def test_a_proof_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(
    store: FolderStore,
) -> None:
    content = PDF.ljust(store.max_bytes, b"x")
    assert (await keep(store, content)).size == store.max_bytes
    with pytest.raises(ProofTooLarge, match="larger than 1048576 bytes"):
        await keep(store, content + b"x")
    assert len(files(store)) == 1


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The submitted file is empty."),
        (
            b"MZ not a proof",
            "The submitted file is of an unknown type."
            " Submit a PDF, PNG, JPEG, TIFF, WebP or HEIC file.",
        ),
    ],
)
async def test_a_refused_file_leaves_nothing(
    store: FolderStore, content: bytes, reason: str
) -> None:
    with pytest.raises(ProofRefused) as caught:
        await keep(store, content + b" " * 300_000 if content else b"")
    assert str(caught.value) == reason
    assert files(store) == []


async def test_a_cancelled_upload_leaves_nothing(store: FolderStore) -> None:
    waits = asyncio.Event()

    async def upload() -> None:
        with closing(IncomingProof(store)) as incoming:
            await incoming.begin("p")
            await incoming.write(PDF + b"x" * 300_000)
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(upload())
    await waits.wait()
    assert len(files(store)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files(store) == []


async def test_a_discarded_proof_leaves_nothing_and_a_finished_one_stays(
    store: FolderStore,
) -> None:
    with closing(IncomingProof(store)) as incoming:
        await incoming.begin("p")
        await incoming.write(PDF + b"x" * 300_000)
        incoming.close()
        assert files(store) == []
    proof = await keep(store, PDF)
    await store.delete(proof.key)
    await store.delete(proof.key)
    assert files(store) == []


@pytest.mark.parametrize(
    "key", ["", "../x", "a" * 31, "A" * 32, "a" * 32 + "\n", "a" * 32 + ".part"]
)
def test_an_invalid_key_has_no_path(store: FolderStore, key: str) -> None:
    with pytest.raises(ValueError, match="not the key"):
        store.path(key)


async def test_old_files_are_listed(store: FolderStore) -> None:
    hour = timedelta(hours=1)
    assert await older_than(store, hour) == []
    old = await keep(store, PDF)
    (store.directory / "notes.txt").write_text("not the store's")
    unfinished = "0" * 32 + UNFINISHED
    (store.directory / unfinished).write_bytes(b"x")
    past = datetime.now(UTC).timestamp() - 2 * hour.total_seconds()
    for path in store.directory.iterdir():
        os.utime(path, (past, past))
    await keep(store, PDF)
    assert sorted(await older_than(store, hour)) == sorted([old.key, unfinished])
    assert len(list(store.directory.iterdir())) == 4
