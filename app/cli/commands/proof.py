"""`proof`: read proofs of payment."""

import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from app.cli.context import fail, load_settings
from app.cli.database import read
from app.payments.proofs import ProofStore, safe_name
from app.payments.repository import find_proof

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
    store = ProofStore(settings.proof_dir, settings.proof_max_bytes)
    try:
        content = store.path(proof.key).read_bytes()
    except OSError as error:
        fail(f"The proof cannot be read: {error}.")
    if not proof.matches(content):
        fail(f"The file {store.path(proof.key)} is not the stored proof: its digest differs.")
    if output == Path("-"):
        sys.stdout.buffer.write(content)
        return
    target = output or Path(safe_name(proof.name))
    try:
        with target.open("xb") as file:
            file.write(content)
    except OSError as error:
        fail(f"The proof cannot be written: {error}.")
    typer.echo(f"{target}: {proof.media_type}, {proof.size} bytes.")
