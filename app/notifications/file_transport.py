"""Writes messages to files if no mail server is configured."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from app.logging import get_logger
from app.notifications.outgoing import OutgoingMail

_logger = get_logger(__name__)


async def write_message(path: Path, mail: OutgoingMail) -> None:
    """Write the message atomically; a retry replaces the file."""
    written = await asyncio.to_thread(_write, path, mail.as_bytes(utf8=True))
    _logger.info("mail written", path=str(written))


def _write(path: Path, content: bytes) -> Path:
    """Write the file and return its absolute path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise
    return path.absolute()
