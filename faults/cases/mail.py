"""The mail server is away, hangs, refuses, cuts off, or forgets to say that it has accepted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from faults.case import Case
from faults.load import Load
from faults.stack import Stack
from tests.support.smtp import MailSink, Stage, Trouble

_SECONDS = 3.0
"""How long a fault lasts: shorter than the pause after an attempt that failed."""


@asynccontextmanager
async def _trouble(smtp: MailSink, stage: Stage, *, cuts: bool) -> AsyncIterator[Trouble]:
    smtp.trouble = Trouble(stage, cuts)
    try:
        async with asyncio.timeout(30):
            await smtp.trouble.reached.wait()
        yield smtp.trouble
    finally:
        smtp.trouble = None


def _at(*stages: Stage, cuts: bool) -> Callable[[Stack, Load], Awaitable[None]]:
    """Return a fault in which conversations come to an end at one stage after the other."""

    async def run(stack: Stack, load: Load) -> None:
        async with load.running():
            await load.well()
            for stage in stages:
                async with _trouble(stack.smtp, stage, cuts=cuts):
                    await asyncio.sleep(_SECONDS / len(stages))
            await load.recovered()

    return run


async def _down(stack: Stack, load: Load) -> None:
    async with load.running():
        await load.well()
        stack.smtp.close()
        await asyncio.sleep(_SECONDS)
        await stack.smtp.open()
        await load.recovered()


async def _refusing(stack: Stack, load: Load) -> None:
    """Refuse one owner of a customer for good, and one of another for as long as the fault is."""
    refused, put_off = [s.recipients[0] for s in load.ground.to_notify if len(s.recipients) > 1][:2]
    async with load.running():
        await load.well()
        stack.smtp.refused |= {refused: "550 5.1.1 No such user", put_off: "452 4.2.2 Mailbox full"}
        await asyncio.sleep(_SECONDS)
        del stack.smtp.refused[put_off]
        await load.recovered()


CASES = (
    Case("smtp-down", "SMTP down", _down),
    Case(
        "smtp-hanging",
        "SMTP hanging at each stage of a conversation",
        _at(*(stage for stage in Stage if stage is not Stage.ACCEPTED), cuts=False),
        seconds=120,
    ),
    Case("smtp-refusing", "SMTP refusing one recipient, and another for a while", _refusing),
    Case(
        "smtp-cutting",
        "SMTP cutting the connection at each stage of a conversation",
        _at(*(stage for stage in Stage if stage is not Stage.ACCEPTED), cuts=True),
        seconds=120,
    ),
    Case(
        "smtp-accepting-unheard",
        "SMTP accepting, then dying before its answer",
        _at(Stage.ACCEPTED, cuts=True),
        quick=True,
    ),
)
