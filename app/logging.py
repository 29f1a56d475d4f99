"""Structured logs: one line an event, as JSON or for a person, with the id of the request.

What is secret or personal never gets here: no headers, no bodies, no query strings, and of errors
only what cannot repeat them. Their messages often quote the value that was wrong; as JSON they are
logged by type and place, with the message where it is of PostgreSQL's or the system's own words.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.typing import Processor

from app.settings import Settings

_FRAMES: Final = 50
"""Places of an error that are told, the innermost."""
_WITH_VALUES: Final = ("22", "23", "P0")
"""SQLSTATE classes whose messages may hold values: of data, of constraints, of triggers."""


class _Logger(structlog.WriteLogger):
    """Writes to standard error, and has a name, which processors show."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure_logging(settings: Settings) -> None:
    """Send this service's events and its libraries' to standard error, in the chosen format."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor]
    if settings.log_format == "json":
        last = [
            structlog.processors.ExceptionRenderer(_exceptions),
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    # Our own lines, of which each request has one, take the short way; libraries' come by logging.
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=_Logger,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _without_reprs,
                *last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # It tells of each of its own parts when it is imported.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # The request line is logged by this service, without its query.
    logging.getLogger("uvicorn.access").disabled = True


def get_logger(name: str) -> Any:
    """Return the logger of a module."""
    return structlog.get_logger(name)


def current_request_id() -> str:
    """Return the id of the request that is being answered, or that caused the job; else nothing."""
    found: str = structlog.contextvars.get_contextvars().get("request_id", "")
    return found


def error_message(error: BaseException) -> str:
    """Return the first line of an error's message: the driver's if another error wraps that.

    It may quote values that people sent, so it is for people; `describe_error` is for logs.
    """
    cause = error
    while inner := getattr(cause, "orig", None):
        cause = inner
    return str(cause).strip().partition("\n")[0] or type(cause).__name__


def describe_error(error: BaseException) -> str:
    """Return what may be logged of an error, in one line, for where its place does not matter."""
    return ": ".join(filter(None, (type(error).__name__, _words(error))))


def _words(error: BaseException) -> str:
    """Return an error's message where it cannot repeat what people sent; else nothing."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's and ours wrap the driver's
    state = getattr(cause, "sqlstate", None)
    if state and not state.startswith(_WITH_VALUES):
        return f"{error_message(cause)} (SQLSTATE {state})"
    if state:
        return f"SQLSTATE {state}"
    if isinstance(cause, OSError):
        return cause.strerror or ""
    return ""


def _exceptions(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> Any:
    """Tell an error and those that led to it, the last first."""
    return [
        {
            "exc_type": type(error).__name__,
            "exc_value": _words(error),
            "frames": [
                {"filename": frame.filename, "lineno": frame.lineno, "name": frame.name}
                for frame in traceback.extract_tb(error.__traceback__)[-_FRAMES:]
            ],
        }
        for error in _chain(exc_info[1])
    ]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _chain(member)
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _without_reprs(_logger: Any, _method: str, event: Any) -> Any:
    """Cut off what asyncio shows of a task that failed unseen: its error's message too."""
    if event.get("logger") == "asyncio":
        event["event"] = str(event["event"]).partition("\n")[0]
    return event
