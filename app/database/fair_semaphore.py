"""Places that are shared fairly between those who ask for them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairSemaphore:
    """A number of places, of which one holder gets another only while more are free than it has.

    So the first to come has half of them at most, the next half of the rest: someone who holds
    none finds one, whatever a few others keep. (In switches this is a dynamic threshold: Choudhury
    and Hahne, 1998.) A free place goes to the waiting holder with the fewest.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[Hashable] = Counter()
        self._waiting: list[tuple[Hashable, asyncio.Future[None]]] = []

    def take_now(self, holder: Hashable) -> bool:
        """Take a place if there is one for the holder; tell whether there is."""
        if self._held[holder] >= self._free:
            return False
        self._free -= 1
        self._held[holder] += 1
        return True

    def release(self, holder: Hashable) -> None:
        """Give a place back."""
        self._free += 1
        self._held[holder] -= 1
        if not self._held[holder]:
            del self._held[holder]
        self._hand_out()

    @asynccontextmanager
    async def place(self, holder: Hashable) -> AsyncIterator[None]:
        """Hold a place, once there is one."""
        if not self.take_now(holder):
            await self._wait(holder)
        try:
            yield
        finally:
            self.release(holder)

    async def _wait(self, holder: Hashable) -> None:
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        one = (holder, given)
        self._waiting.append(one)
        try:
            await given
        except asyncio.CancelledError:
            if one in self._waiting:
                self._waiting.remove(one)
            else:  # it was given just before
                self.release(holder)
            raise

    def _hand_out(self) -> None:
        """Give free places to waiting holders: to those with the fewest first, then in order."""
        while self._waiting:
            one = min(self._waiting, key=lambda waiting: self._held[waiting[0]])
            holder, given = one
            if not self.take_now(holder):
                return
            self._waiting.remove(one)
            given.set_result(None)
