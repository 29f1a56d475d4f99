"""The interface of reads, from whichever server."""

from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.fair_semaphore import FairSemaphore


class Reads(Protocol):
    """The reads of one request, or of anything else that reads."""

    @property
    def streams(self) -> FairSemaphore:
        """A slot for each connection that is held while a client reads a response."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection, as `Database.reading` does."""

    def snapshot(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection, as `Database.snapshot` does."""

    def streaming(self, holder: Hashable = None) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection, as `Database.streaming` does."""

    def rendering(self, holder: Hashable) -> AbstractAsyncContextManager[None]:
        """Wait for a slot, as `Database.rendering` does."""

    def use_primary(self) -> bool:
        """Read from the primary from now on; return whether anything was read elsewhere."""
