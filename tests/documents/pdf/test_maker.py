"""PDFs made in processes of their own, which may die."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from app.documents.pdf.errors import PdfProcessDied, PdfTimeout
from app.documents.pdf.maker import PdfMaker
from app.documents.pdf.rendering import make_pdf_with_e_invoice
from tests.documents.pdf.examples import as_json, document, line, lines

pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),  # processes end with their event loop
    pytest.mark.usefixtures("child_processes"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
ONE = [line()]
_others: set[int] = set()
"""Processes of earlier tests, whose event loop goes on."""


def _workers() -> set[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {
        int(pid)
        for pid in children
        if b"anyio.to_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    } - _others


@pytest.fixture(autouse=True)
def _ignore_earlier_processes() -> None:
    _others.clear()
    _others.update(_workers())


async def _start_maker() -> PdfMaker:
    """Return a maker with one process that has started, which ends with the task of the test."""
    maker = PdfMaker(processes=2)
    await maker.make(*as_json(document(ONE), ONE))
    return maker


async def test_processes_are_reused_and_make_the_same_bytes() -> None:
    maker = await _start_maker()
    workers = _workers()
    german = document(ONE, language="de")
    pdf = await maker.make(*as_json(german, ONE))
    assert pdf == make_pdf_with_e_invoice(german, ONE)
    assert _workers() == workers
    assert len(workers) == 1


async def test_no_more_processes_run_than_allowed() -> None:
    maker = await _start_maker()
    pdfs = await asyncio.gather(
        *(maker.make(*as_json(document(ONE, number=number), ONE)) for number in range(1, 9))
    )
    assert len(set(pdfs)) == 8
    assert len(_workers()) == 2


async def test_a_killed_process_fails_its_document_and_is_replaced() -> None:
    maker = await _start_maker()
    items = lines(2000)
    work = asyncio.create_task(maker.make(*as_json(document(items), items)))
    await asyncio.sleep(0.2)
    killed = _workers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(PdfProcessDied):
        await work
    assert (await maker.make(*as_json(document(ONE), ONE))).startswith(b"%PDF")
    assert not _workers() & killed


async def test_a_document_that_takes_too_long_is_ended() -> None:
    maker = await _start_maker()
    hasty = PdfMaker(processes=1, time_limit=0.1)
    items = lines(2000)
    ended = _workers()
    with pytest.raises(PdfTimeout, match=r"0\.1 seconds"):
        await hasty.make(*as_json(document(items), items))
    assert not _workers() & ended
    assert (await maker.make(*as_json(document(ONE), ONE))).startswith(b"%PDF")


async def test_a_document_that_needs_too_much_memory_ends_its_process_alone() -> None:
    maker = await _start_maker()
    small = PdfMaker(processes=1, memory_limit=300 << 20)
    items = lines(2000)
    with pytest.raises(PdfProcessDied):
        await small.make(*as_json(document(items), items))
    assert (await maker.make(*as_json(document(ONE), ONE))).startswith(b"%PDF")
