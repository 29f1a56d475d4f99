#!/usr/bin/env bash
# anyio 4.16.0 on asyncio: worker processes belong to the first root task of an event loop, not to the loop.
#
# `to_process.run_sync` keeps processes for later calls. asyncio.Runner runs one coroutine after another in
# the same loop, each as a root task of its own. Seen, for one call in each of four runs:
# - The end of the first run kills the process, while the loop stays open. If the second run follows at
#   once, the process counts as alive still: BrokenWorkerProcess, for a function that did nothing wrong.
# - After half a second its end is known: the second run gets another process without an error.
# - The processes of later runs are kept from run to run, as one would expect of the first.
# - Within one root task, calls of several tasks that end share one process.
# Test suites and consoles that keep a loop open meet this; programs under `asyncio.run` do not.
#
# Here: app/documents/pdf/maker.py is called under one root task, that of the server or of a command. A
# process that dies fails one request with PdfProcessDied, and the next gets another process, as
# tests/documents/pdf/test_maker.py has it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check anyio==4.16.0

cat >"$folder/workers.py" <<'PYTHON'
import asyncio
import os

from anyio import BrokenWorkerProcess, sleep, to_process


async def call(pause: float) -> int | None:
    await sleep(pause)
    try:
        return await to_process.run_sync(os.getpid)
    except BrokenWorkerProcess:
        return None


async def call_in_tasks() -> list[int | None]:
    return [await asyncio.create_task(call(0)) for _ in range(4)]


def show(title: str, processes: list[int | None]) -> None:
    names: dict[int | None, str] = {None: "BrokenWorkerProcess"}
    for process in processes:
        names.setdefault(process, f"process {len(names)}")
    print(f"{title}:", ", ".join(names[process] for process in processes))


if __name__ == "__main__":
    for title, pause in (("runs", 0), ("runs with pauses", 0.5)):
        with asyncio.Runner() as runner:
            show(title, [runner.run(call(pause)) for _ in range(4)])
    with asyncio.Runner() as runner:
        show("tasks of one run", runner.run(call_in_tasks()))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/workers.py")
expected='runs: process 1, BrokenWorkerProcess, process 2, process 2
runs with pauses: process 1, process 2, process 2, process 2
tasks of one run: process 1, process 1, process 1, process 1'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "The behaviour has changed." >&2
    exit 1
fi
