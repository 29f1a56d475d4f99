"""Concurrent calls that share a statement."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from app.database.coalescer import Coalescer

_caller: ContextVar[str] = ContextVar("caller", default="unset")


class Doubling:
    """Doubles numbers; a batch waits for its event, and a zero is an error."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.callers: list[str] = []

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        """Double the numbers."""
        self.batches.append(list(numbers))
        self.callers.append(_caller.get())
        await self.may_go.wait()
        if 0 in numbers:
            raise ValueError("zero")
        return [2 * number for number in numbers]


async def test_calls_of_one_turn_are_a_batch() -> None:
    doubling = Doubling()
    double = Coalescer(doubling)
    assert await asyncio.gather(*(double(number) for number in range(1, 6))) == [2, 4, 6, 8, 10]
    assert doubling.batches == [[1, 2, 3, 4, 5]]


async def test_calls_during_a_batch_are_the_next_one() -> None:
    doubling = Doubling()
    doubling.may_go.clear()
    double = Coalescer(doubling)
    calls = [asyncio.create_task(double(1))]
    await asyncio.sleep(0.01)
    calls += [asyncio.create_task(double(number)) for number in (2, 3)]
    await asyncio.sleep(0.01)
    assert doubling.batches == [[1]]
    doubling.may_go.set()
    assert await asyncio.gather(*calls) == [2, 4, 6]
    assert doubling.batches == [[1], [2, 3]]


async def test_more_than_a_hundred_calls_are_several_batches() -> None:
    doubling = Doubling()
    double = Coalescer(doubling)
    await asyncio.gather(*(double(number) for number in range(1, 251)))
    assert [len(batch) for batch in doubling.batches] == [100, 100, 50]


async def test_each_call_of_a_batch_raises_its_error_and_the_next_batch_runs() -> None:
    double = Coalescer(Doubling())
    failed = await asyncio.gather(double(0), double(1), return_exceptions=True)
    assert [str(error) for error in failed] == ["zero", "zero"]
    assert await double(4) == 8


async def test_a_call_that_is_cancelled_before_its_batch_is_left_out() -> None:
    doubling = Doubling()
    doubling.may_go.clear()
    double = Coalescer(doubling)
    running = asyncio.create_task(double(1))
    await asyncio.sleep(0.01)
    left_out, kept = (asyncio.create_task(double(number)) for number in (2, 3))
    await asyncio.sleep(0.01)
    left_out.cancel()
    running.cancel()
    doubling.may_go.set()
    assert await kept == 6
    assert doubling.batches == [[1], [3]]
    for cancelled in (running, left_out):
        with pytest.raises(asyncio.CancelledError):
            await cancelled


async def test_a_batch_has_the_context_of_no_caller() -> None:
    doubling = Doubling()
    _caller.set("first")
    await Coalescer(doubling)(1)
    assert doubling.callers == ["unset"]
