"""Proofs of payment, which newer releases of Waldur store in the database."""

from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.settings import Settings
from tests.dataio.waldur.conftest import Import, dump
from tests.support.waldur import execute

PDF = b"%PDF-1.4 receipt"
PROOF = (
    "SELECT proof_name, proof_media_type, proof_size, proof_sha256 FROM payments"
    " WHERE proof_key IS NOT NULL"
)


async def add_file(waldur: str, content: bytes, size: int | None = None) -> None:
    digest = sha256(content).hexdigest()
    await execute(
        waldur,
        "CREATE TABLE media_file (id integer, name text, content bytea, size integer, hash text)",
        f"INSERT INTO media_file VALUES (1, 'proofs/scan.pdf', '\\x{content.hex()}',"
        f" {len(content) if size is None else size}, '{digest}')",
    )


async def proofs(connection: AsyncConnection) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(text(PROOF))]


async def test_a_proof_in_the_database_is_imported_once(
    waldur: str, bring: Import, connection: AsyncConnection, settings: Settings
) -> None:
    await add_file(waldur, PDF)
    report = await bring()
    digest = sha256(PDF).hexdigest()
    assert await proofs(connection) == [("scan.pdf", "application/pdf", len(PDF), digest)]
    assert [each.read_bytes() for each in settings.proof_dir.iterdir()] == [PDF]
    assert not [kind for kind, _ in report.skipped if kind == "proof_of_payment"]
    before = await dump(connection)
    await bring()
    assert await dump(connection) == before
    assert len(list(settings.proof_dir.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "size", "reason"),
    [
        (b"#!/bin/sh", 9, "the file is neither a PDF nor an image"),
        (PDF, 10**9, "the file is larger than PROOF_MAX_BYTES"),
    ],
)
async def test_a_payment_is_imported_without_an_unsuitable_proof(
    waldur: str, bring: Import, content: bytes, size: int, reason: str
) -> None:
    await add_file(waldur, content, size)
    report = await bring()
    assert report.new["payment"] == 1
    assert report.skipped["proof_of_payment", reason].examples == ["proofs/scan.pdf"]
