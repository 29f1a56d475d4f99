"""The result of a check."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How serious a result is."""

    WELL = "well"
    WARNING = "warning"
    """It works, but may be unintended, or may soon stop working."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of output: a message, and advice unless all is well."""

    level: Level
    message: str
    advice: str = ""


def well(message: str) -> CheckResult:
    """Return a result that needs no action."""
    return CheckResult(Level.WELL, message)


def warning(message: str, advice: str) -> CheckResult:
    """Return a result about something that works, but may be unintended."""
    return CheckResult(Level.WARNING, message, advice)


def wrong(message: str, advice: str) -> CheckResult:
    """Return a result about something that does not work."""
    return CheckResult(Level.WRONG, message, advice)
