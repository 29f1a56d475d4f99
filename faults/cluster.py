"""Several PostgreSQL servers, of which one is the primary and another its synchronous standby."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self


class DatabaseCluster(ABC):
    """The servers of a case, for the length of the context."""

    def __init__(self, place: Path) -> None:
        place.chmod(0o711)  # servers that do not run as root have their folders below
        self.place = place
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await self.set_up(opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._open.aclose()

    @abstractmethod
    async def set_up(self, opening: AsyncExitStack) -> None:
        """Start the servers, and wait until changes are replicated synchronously."""

    @property
    @abstractmethod
    def service_url(self) -> str:
        """The DATABASE_URL of the service."""

    @property
    @abstractmethod
    def primary_url(self) -> str:
        """The URL of the primary for the suite."""

    @property
    @abstractmethod
    def probe_urls(self) -> Sequence[str]:
        """The URL of each way by which a client may reach the primary."""


def url_of(*ports: int) -> str:
    """Return the URL of the servers at ports of the loopback address; several need read-write."""
    if len(ports) == 1:
        return f"postgresql://postgres@127.0.0.1:{ports[0]}/postgres"
    hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
    return f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"
