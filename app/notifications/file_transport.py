"""Writes messages to files if no mail server is configured."""

import asyncio
import os
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTPUTF8
from pathlib import Path
from uuid import UUID

from app.logging import get_logger

_logger = get_logger(__name__)


class FileTransport:
    """Writes a message to a file named after its delivery, so that a retry replaces it."""

    def __init__(self, directory: Path, delivery: UUID) -> None:
        self._path = directory / f"{delivery}.eml"

    async def send(self, message: EmailMessage) -> None:
        """Write the message atomically."""
        await asyncio.to_thread(self._write, message.as_bytes(policy=SMTPUTF8))
        _logger.info("mail written", path=str(self._path.absolute()))

    def _write(self, content: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._path.with_suffix(".part")
        try:
            with unfinished.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink()
            raise
