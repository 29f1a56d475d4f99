"""A fake clock for the processes of the service, which can be set while they run."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from app import clock
from faults.program import SupervisedProgram

_PLACES = ("/usr/lib", "/usr/local/lib")
_LIBRARY = "libfaketimeMT.so.1"


def missing() -> str:
    """Return the missing requirement of the fake clock; empty if none."""
    return "" if _library() else "libfaketime (Debian's package faketime) is not installed"


def _library() -> Path | None:
    found: Iterator[Path] = (file for place in _PLACES for file in Path(place).rglob(_LIBRARY))
    return next(found, None)


class FakeClock:
    """A clock that runs on from the time it is set to; clients keep the real clock."""

    def __init__(self, place: Path) -> None:
        """Store the offset in the file `place`."""
        self._file = place
        self._offset = 0.0

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a process that uses the clock."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            # The monotonic clock of a real machine is never set.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, moment: datetime) -> None:
        """Set the clock to `moment` for all processes that use it."""
        self._offset = (moment - clock.now()).total_seconds()
        new_file = self._file.with_suffix(".new")
        new_file.write_text(f"{self._offset:+.3f}\n")
        new_file.rename(self._file)

    def now(self) -> datetime:
        """Return the time of the clock."""
        return datetime.fromtimestamp(clock.now().timestamp() + self._offset, clock.now().tzinfo)


async def restart(programs: list[SupervisedProgram]) -> None:
    """Stop programs gracefully and start them with the current environment."""
    for program in programs:
        await program.stop()
        program.restarts = True
        await program.start()
