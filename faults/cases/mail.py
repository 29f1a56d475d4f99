"""The mail server is down, hangs, refuses, cuts connections, or accepts without a reply."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from faults.case import Case
from faults.load import LoadGenerator
from faults.stack import Stack
from tests.support.smtp import BEFORE_ACCEPTANCE, Fault, MailServer, Stage

_SECONDS = 3.0
"""The length of a fault: shorter than the delay after a failed attempt."""


@asynccontextmanager
async def _fault(smtp: MailServer, stage: Stage, *, cuts: bool) -> AsyncIterator[Fault]:
    smtp.fault = Fault(stage, cuts)
    try:
        async with asyncio.timeout(30):
            await smtp.fault.reached.wait()
        yield smtp.fault
    finally:
        smtp.fault = None


def _at(*stages: Stage, cuts: bool) -> Callable[[Stack, LoadGenerator], Awaitable[None]]:
    """Return a fault in which sessions fail at one stage after the other."""

    async def run(stack: Stack, load: LoadGenerator) -> None:
        async with load.running():
            await load.wait_until_healthy()
            for stage in stages:
                async with _fault(stack.smtp, stage, cuts=cuts):
                    await asyncio.sleep(_SECONDS / len(stages))
            await load.wait_for_recovery()

    return run


async def _down(stack: Stack, load: LoadGenerator) -> None:
    async with load.running():
        await load.wait_until_healthy()
        stack.smtp.close()
        await asyncio.sleep(_SECONDS)
        await stack.smtp.open()
        await load.wait_for_recovery()


async def _killed(stack: Stack, load: LoadGenerator) -> None:
    """Take the server away, and then let it die at each stage, also after it has accepted."""
    async with load.running():
        await load.wait_until_healthy()
        stack.smtp.close()
        await asyncio.sleep(_SECONDS)
        await stack.smtp.open()
        for stage in (*BEFORE_ACCEPTANCE, Stage.ACCEPTED):
            async with _fault(stack.smtp, stage, cuts=True):
                await asyncio.sleep(_SECONDS / len(Stage))
        await load.wait_for_recovery()


async def _refusing(stack: Stack, load: LoadGenerator) -> None:
    """Refuse one recipient permanently, and another during the fault."""
    refused, deferred = [s.recipients[0] for s in load.dataset.to_notify if len(s.recipients) > 1][
        :2
    ]
    async with load.running():
        await load.wait_until_healthy()
        stack.smtp.refused |= {
            refused: "550 5.1.1 No such user",
            deferred: "452 4.2.2 Mailbox full",
        }
        await asyncio.sleep(_SECONDS)
        del stack.smtp.refused[deferred]
        await load.wait_for_recovery()


CASES = (
    Case("smtp-down", "SMTP down", _down),
    Case(
        "smtp-hanging",
        "SMTP hanging at each stage of a conversation",
        _at(*BEFORE_ACCEPTANCE, cuts=False),
        seconds=120,
    ),
    Case("smtp-refusing", "SMTP refusing one recipient, and another for a while", _refusing),
    Case(
        "smtp-cutting",
        "SMTP cutting the connection at each stage of a conversation",
        _at(*BEFORE_ACCEPTANCE, cuts=True),
        seconds=120,
    ),
    Case(
        "smtp-accepting-unheard",
        "SMTP accepting, then dying before its answer",
        _at(Stage.ACCEPTED, cuts=True),
        quick=True,
    ),
    Case(
        "smtp-killed-credit-notes",
        "SMTP down, then dying at each stage, with mails of credit notes",
        _killed,
        seconds=180,
        credits_invoices=True,
    ),
)
