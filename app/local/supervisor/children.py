"""The API and the worker as child processes."""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, Process

import typer

from app.server.child_process import with_parent_death_signal
from app.shutdown import SHUTDOWN_SECONDS

_STOP_SECONDS = SHUTDOWN_SECONDS + 2
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_STEADY_SECONDS = 60.0
"""After this time a process counts as started, and the pause is short again."""


async def start(*arguments: str) -> Process:
    """Start `python -m app` with the arguments; Linux ends it when this process dies."""
    return await asyncio.create_subprocess_exec(
        *with_parent_death_signal([sys.executable, "-m", "app", *arguments], signal.SIGTERM),
        stdin=DEVNULL,
        # Ctrl-C reaches the terminal's whole process group; the supervisor stops its children.
        process_group=0,
    )


async def stop(process: Process) -> None:
    """Stop a process: SIGTERM, then SIGKILL after a timeout."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


async def keep_running(*arguments: str, name: str) -> None:
    """Run a command, and restart it after a growing pause whenever it ends."""
    loop = asyncio.get_running_loop()
    pause = _SHORTEST_PAUSE
    while True:
        process = await start(*arguments)
        started = loop.time()
        try:
            code = await process.wait()
        finally:
            await stop(process)
        if loop.time() - started > _STEADY_SECONDS:
            pause = _SHORTEST_PAUSE
        typer.echo(f"{name} ended with code {code}; restarting it in {pause:.0f} s.", err=True)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
