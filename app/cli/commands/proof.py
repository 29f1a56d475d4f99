"""`proof`: read and copy proofs of payment."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import UUID

import typer

from app.cli.context import fail, load, load_settings
from app.cli.database import read, with_database
from app.cli.exit_codes import FAILED, MISUSED
from app.cli.progress import show_progress
from app.database.engine import Database
from app.payments.actions.copy_proofs import ProofCopy, copy_proofs
from app.payments.proof_store.opening import open_place, open_store
from app.payments.proof_store.store import ProofDamaged, ProofStore, read_verified
from app.payments.proofs import Proof, safe_name
from app.payments.repository import find_proof
from app.progress import Progress
from app.proof_settings import ProofStoreSettings
from app.storage import StorageUnavailable
from app.urls import BucketUrl, parse_file_store

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


@cli.command("copy")
def copy(
    source: Annotated[str, typer.Argument(help="A folder, or s3://bucket/prefix.")],
    target: Annotated[
        str | None,
        typer.Argument(help="The same; by default the store of PROOF_STORE or PROOF_DIR."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--database/--no-database",
            help="Whether to compare digests with those of the payments in DATABASE_URL, and to"
            " look for missing proofs.",
        ),
    ] = True,
) -> None:
    """Copy all proofs from one store to another, and check the digest of each.

    Proofs that are there already are left as they are, so the command can be repeated.
    """
    settings = load(ProofStoreSettings)
    origin = open_place(_parse(source), settings)
    destination = open_place(_parse(target), settings) if target else open_store(settings)
    if origin.location == destination.location:
        fail("Both are the same store.", code=MISUSED)

    async def run(database: Database | None, progress: Progress) -> ProofCopy:
        return await copy_proofs(database, origin, destination, progress)

    try:
        if check:
            outcome = with_database("proof copy", run)
        else:
            with show_progress("proof copy") as progress:
                outcome = asyncio.run(run(None, progress))
    except StorageUnavailable as error:
        fail(f"The copy failed: {error}.", "Run it again: it goes on from there.")
    for key in outcome.damaged:
        typer.echo(f"The proof {key} is damaged in {origin.location}.", err=True)
    for key in outcome.missing:
        typer.echo(f"The proof {key} is in neither store.", err=True)
    typer.echo(
        f"{outcome.copied} copied, {outcome.present} present,"
        f" {len(outcome.damaged)} damaged, {len(outcome.missing)} missing."
    )
    if outcome.damaged or outcome.missing:
        raise typer.Exit(FAILED)


def _parse(place: str) -> Path | BucketUrl:
    if "://" not in place:
        return Path(place)
    try:
        return parse_file_store(place)
    except ValueError as error:
        fail(f"{place} is wrong: {error}.", code=MISUSED)


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
