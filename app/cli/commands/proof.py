"""`proof`: read proofs of payment."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import UUID

import typer

from app.cli.context import fail, load_settings
from app.cli.database import read
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import ProofDamaged, ProofStore, read_verified
from app.payments.proofs import Proof, safe_name
from app.payments.repository import find_proof
from app.storage import StorageUnavailable

cli = typer.Typer()


@cli.command("get")
def get(
    payment: Annotated[UUID, typer.Argument(help="The UUID of the payment.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The file to write; - for standard output. By default it has its sender's name,"
            " in the current folder. An existing file is not overwritten.",
        ),
    ] = None,
) -> None:
    """Write the proof of a payment to a file."""
    settings = load_settings()
    proof = read("proof get", lambda connection: find_proof(connection, payment))
    if proof is None:
        fail(f"There is no payment {payment} with a proof.")
    store = open_store(settings)
    try:
        if output == Path("-"):
            asyncio.run(_write(store, proof, sys.stdout.buffer))
            return
        target = output or Path(safe_name(proof.name))
        with target.open("xb") as file, _removed_after_error(target):
            asyncio.run(_write(store, proof, file))
    except ProofDamaged as error:
        fail(f"The proof {proof.key} in {store.location} is not the stored one: {error}.")
    except StorageUnavailable as error:
        fail(f"The proof cannot be read: {error}.")
    except OSError as error:
        fail(f"The proof cannot be written: {error}.")
    typer.echo(f"{target}: {proof.media_type}, {proof.size} bytes.")


async def _write(store: ProofStore, proof: Proof, file: BinaryIO) -> None:
    async with aclosing(read_verified(store, proof)) as pieces:
        async for piece in pieces:
            file.write(piece)


@contextmanager
def _removed_after_error(file: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        file.unlink()
        raise
