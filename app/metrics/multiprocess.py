"""What several processes count, read from the files that they share."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import Final

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_GONE: Final = "gone"
"""In the name of a file in place of a process: what those counted that have died."""


class Together:
    """Adds up the values of all processes that have a file in the folder, the dead included.

    What the dead counted is kept in one file of each kind, so that a process that dies again and
    again does not fill the folder; what they had in progress is gone with them.
    """

    def __init__(self, place: str) -> None:
        self._place = Path(place)
        self._files = MultiProcessCollector(None, place)  # type: ignore[no-untyped-call]
        self._alone = Lock()

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        with self._alone:
            self._bury()
            return list(self._files.collect())  # type: ignore[no-untyped-call]

    def _bury(self) -> None:
        dead: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self._place.glob("*.db"):
            kind, _, process = path.stem.rpartition("_")
            if process == _GONE or _is_alive(int(process)):
                continue
            if kind.startswith("gauge_live"):
                mark_process_dead(process, self._place)  # type: ignore[no-untyped-call]
            else:
                dead[kind].append(path)
        for kind, paths in dead.items():
            self._add_to_gone(kind, paths)

    def _add_to_gone(self, kind: str, paths: list[Path]) -> None:
        gone = self._place / f"{kind}_{_GONE}.db"
        unfinished = self._place / f"{kind}_{_GONE}.part"
        known = [gone] if gone.exists() else []
        sums = MultiProcessCollector.merge(  # type: ignore[no-untyped-call]
            [str(path) for path in (*known, *paths)], accumulate=False
        )
        file = MmapedDict(str(unfinished))  # type: ignore[no-untyped-call]
        for metric in sums:
            for sample in metric.samples:
                # As the library writes it: the labels' order is the same for all processes.
                key = json.dumps(
                    [metric.name, sample.name, sample.labels, metric.documentation], sort_keys=True
                )
                file.write_value(key, sample.value, 0.0)  # type: ignore[no-untyped-call]
        file.close()  # type: ignore[no-untyped-call]
        unfinished.replace(gone)
        for path in paths:
            path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, so none of ours
        return False
    return True
