"""The disk of the proofs of payment is full, read-only, or missing."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from faults.case import Case
from faults.disk import fill, no_small_disk, read_only
from faults.load import LoadGenerator
from faults.request_log import Kind
from faults.stack import Layout, Stack

_SECONDS = 3.0
_DISK = 20_000_000


@contextmanager
def refusing(load: LoadGenerator) -> Iterator[None]:
    """Check that payments are refused during the context."""
    before = _refusals(load)
    yield
    assert _refusals(load) > before, "no payment was refused: the fault had no effect"


def _refusals(load: LoadGenerator) -> int:
    return sum(
        attempt.status == 503
        for operation in load.request_log.operations
        if operation.kind is Kind.PAID
        for attempt in operation.attempts
    )


async def _full(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        with refusing(load):
            filler = fill(stack.proofs)
            await asyncio.sleep(_SECONDS)
            filler.unlink()
        await load.wait_for_recovery()


async def _read_only(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        with refusing(load), read_only(stack.proofs):
            await asyncio.sleep(_SECONDS)
        await load.wait_for_recovery()


async def _gone(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        with refusing(load):
            aside = stack.proofs.rename(stack.proofs.with_name("aside"))
            await asyncio.sleep(_SECONDS)
            aside.rename(stack.proofs)
        await load.wait_for_recovery()


CASES = (
    Case(
        "proofs-full",
        "PROOF_DIR: disk full",
        _full,
        layout=Layout(proof_disk=_DISK),
        needs=no_small_disk,
    ),
    Case(
        "proofs-read-only",
        "PROOF_DIR: read-only",
        _read_only,
        layout=Layout(proof_disk=_DISK),
        needs=no_small_disk,
    ),
    Case("proofs-gone", "PROOF_DIR: missing for a while", _gone),
)
