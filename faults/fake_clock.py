"""A clock of our own for the processes of the service, which can be moved while they run."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from app import clock
from faults.program import SupervisedProgram

_PLACES = ("/usr/lib", "/usr/local/lib")
_LIBRARY = "libfaketimeMT.so.1"


def missing() -> str:
    """Return what lacks for such a clock; empty where it is there."""
    return "" if _library() else "libfaketime (Debian's package faketime) is not installed"


def _library() -> Path | None:
    found: Iterator[Path] = (file for place in _PLACES for file in Path(place).rglob(_LIBRARY))
    return next(found, None)


class FakeClock:
    """Reads as it is set, and runs on from there; the servers and the clients keep the true one."""

    def __init__(self, place: Path) -> None:
        """Keep what it is set to in a file at `place`."""
        self._file = place
        self._offset = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to go by it."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # Nobody sets this one on a real machine either.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, moment: datetime) -> None:
        """Let it be `moment` now; all processes that go by it jump there."""
        self._offset = (moment - clock.now()).total_seconds()
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{self._offset:+.3f}\n")
        beside.rename(self._file)

    def now(self) -> datetime:
        """Return what it reads."""
        return datetime.fromtimestamp(clock.now().timestamp() + self._offset, clock.now().tzinfo)


async def restart(programs: list[SupervisedProgram]) -> None:
    """End programs in order and start them again, with the environment as it is now."""
    for program in programs:
        await program.stop()
        program.restarts = True
        await program.start()
