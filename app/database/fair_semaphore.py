"""A semaphore that shares its slots fairly between holders."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairSemaphore:
    """Slots, of which a holder gets another only while more are free than it holds.

    So the first holder gets at most half of the slots, and the next half of the rest. A holder with
    none finds a free one, however many a few others hold. (In network switches this is a dynamic
    threshold: Choudhury and Hahne, 1998.) A free slot goes to the waiting holder with the fewest.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._held: Counter[Hashable] = Counter()
        self._waiting: list[tuple[Hashable, asyncio.Future[None]]] = []

    def try_acquire(self, holder: Hashable) -> bool:
        """Take a slot without waiting; return whether the holder got one."""
        if self._held[holder] >= self._free:
            return False
        self._free -= 1
        self._held[holder] += 1
        return True

    def release(self, holder: Hashable) -> None:
        """Release one slot of the holder."""
        self._free += 1
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
        self._wake_waiting()

    @asynccontextmanager
    async def slot(self, holder: Hashable) -> AsyncIterator[None]:
        """Wait for a slot and hold it within the context."""
        if not self.try_acquire(holder):
            await self._wait(holder)
        try:
            yield
        finally:
            self.release(holder)

    async def _wait(self, holder: Hashable) -> None:
        acquired: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (holder, acquired)
        self._waiting.append(waiter)
        try:
            await acquired
        except asyncio.CancelledError:
            if not acquired.cancelled():  # the slot was assigned just before the cancellation
                self.release(holder)
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _wake_waiting(self) -> None:
        """Assign free slots to waiting holders: fewest slots first, then in order of arrival."""
        while self._waiting:
            waiter = min(self._waiting, key=lambda waiting: self._held[waiting[0]])
            holder, acquired = waiter
            if acquired.cancelled():  # its task was cancelled and has not run since
                self._waiting.remove(waiter)
                continue
            if not self.try_acquire(holder):
                return
            self._waiting.remove(waiter)
            acquired.set_result(None)
