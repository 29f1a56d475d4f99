"""Runs concurrent calls together, so that one statement serves many of them."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar

_MAX_BATCH: Final = 100

_Item = TypeVar("_Item")
_Outcome = TypeVar("_Outcome")


class Coalescer(Generic[_Item, _Outcome]):
    """A call with one item, which a function handles together with those of other calls.

    Calls of one turn of the event loop form a batch, and so do all calls that arrive while a batch
    runs. Batches run one after the other. Nothing waits for further calls: a single call runs at
    once.

    The function gets the items and returns an outcome for each, in their order. If it raises, each
    call of the batch raises the same error. It runs in a context of its own, without the variables
    of any caller. Cancelling a call takes its item out of the next batch, not of a running one.
    """

    def __init__(self, run: Callable[[Sequence[_Item]], Awaitable[Sequence[_Outcome]]]) -> None:
        self._run = run
        self._waiting: deque[tuple[_Item, asyncio.Future[_Outcome]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: _Item) -> _Outcome:
        """Return the outcome for an item; raises the errors of the function."""
        outcome: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, outcome))
        if self._task is None:
            self._task = asyncio.create_task(self._run_batches(), context=Context())
        return await outcome

    async def _run_batches(self) -> None:
        try:
            while batch := self._next_batch():
                await self._run_batch(batch)
        finally:
            self._task = None
            for _, outcome in self._waiting:  # none, unless the event loop ends
                outcome.cancel()

    def _next_batch(self) -> list[tuple[_Item, asyncio.Future[_Outcome]]]:
        batch: list[tuple[_Item, asyncio.Future[_Outcome]]] = []
        while self._waiting and len(batch) < _MAX_BATCH:
            item, outcome = self._waiting.popleft()
            if not outcome.done():
                batch.append((item, outcome))
        return batch

    async def _run_batch(self, batch: Sequence[tuple[_Item, asyncio.Future[_Outcome]]]) -> None:
        try:
            found = await self._run([item for item, _ in batch])
        except Exception as error:
            for _, outcome in batch:
                if not outcome.done():
                    outcome.set_exception(error)
        except BaseException:
            for _, outcome in batch:
                outcome.cancel()
            raise
        else:
            for (_, outcome), value in zip(batch, found, strict=True):
                if not outcome.done():
                    outcome.set_result(value)
