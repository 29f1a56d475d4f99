"""Structured logs: one line per event, as JSON or for people, with the id of the request.

Secrets and personal data are not logged: no headers, bodies or query strings. An error's message
often quotes the invalid value. So JSON logs have an error's type and place, and its message only
if it comes from PostgreSQL or the system and cannot quote a value.
"""

import logging
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import Processor

from app.settings import Settings

_FRAMES: Final = 50
"""Maximum frames of a logged error, the innermost ones."""
_CLASSES_WITH_VALUES: Final = ("22", "23", "P0")
"""SQLSTATE classes whose messages may quote values: data, constraints, triggers."""


class _StandardError:
    """Standard error as it is at each write: while a bar is shown, lines go above the bar."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STANDARD_ERROR: Final = cast("TextIO", _StandardError())


class _Logger(structlog.WriteLogger):
    """Writes to standard error, and has a name for the processors."""

    def __init__(self, name: str = "") -> None:
        super().__init__(_STANDARD_ERROR)
        self.name = name


def configure_logging(settings: Settings) -> None:
    """Send events of the service and of its libraries to standard error, in the chosen format."""
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
            structlog.processors.ExceptionRenderer(_format_exceptions),
            structlog.processors.JSONRenderer(),
        ]
    else:
        last = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    # Lines of the service, one per request, bypass logging, which is slower; libraries use it.
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=_Logger,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_STANDARD_ERROR)
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
    # It logs each of its plugins when it is imported.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # The request line is logged by this service, without its query.
    logging.getLogger("uvicorn.access").disabled = True


def get_logger(name: str) -> Any:
    """Return the logger of a module."""
    return structlog.get_logger(name)


def current_request_id() -> str:
    """Return the id of the current request, or of the job's; empty if there is none."""
    request_id: str = structlog.contextvars.get_contextvars().get("request_id", "")
    return request_id


def error_message(error: BaseException) -> str:
    """Return the first line of an error's message: the driver's if another error wraps that.

    It may quote values that people sent, so it is for people; `describe_error` is for logs.
    """
    cause = error
    while inner := getattr(cause, "orig", None):
        cause = inner
    return str(cause).strip().partition("\n")[0] or type(cause).__name__


def describe_error(error: BaseException) -> str:
    """Return an error's type and its message, if that may be logged, in one line."""
    return ": ".join(filter(None, (type(error).__name__, _safe_message(error))))


def _safe_message(error: BaseException) -> str:
    """Return an error's message if it cannot quote what people sent; else an empty string."""
    cause = (
        getattr(error, "orig", None) or error
    )  # SQLAlchemy and this service wrap the driver's error
    state = getattr(cause, "sqlstate", None)
    if state and not state.startswith(_CLASSES_WITH_VALUES):
        return f"{error_message(cause)} (SQLSTATE {state})"
    if state:
        return f"SQLSTATE {state}"
    if isinstance(cause, OSError):
        return cause.strerror or ""
    return ""


def _format_exceptions(
    exc_info: tuple[type[BaseException], BaseException, TracebackType | None],
) -> Any:
    """Format an error and those that caused it, the last first."""
    return [
        {
            "exc_type": type(error).__name__,
            "exc_value": _safe_message(error),
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
    """Cut asyncio's description of a task whose error nobody retrieved: it has the message."""
    if event.get("logger") == "asyncio":
        event["event"] = str(event["event"]).partition("\n")[0]
    return event
