"""Cancellation that redis-py hides.

On Python 3.11, redis-py (5.3 to 7.0) hides up to half of the cancellations of a task that waits for
Redis: it raises its own TimeoutError or ConnectionError, or reconnects and continues. A loop that
continues after errors of Redis would then never end.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reraise_cancellation() -> Iterator[None]:
    """Raise CancelledError at the end of the context if the current task was cancelled within it.

    Enter it outside of `asyncio.timeout`, which cancels the task itself.
    """
    try:
        yield
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
