"""What a check tells."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding is to be taken."""

    WELL = "well"
    WARNING = "warning"
    """It works, but may not be meant so, or may not for long."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line: what was found, and what to do about it unless all is well."""

    level: Level
    found: str
    advice: str = ""


def well(found: str) -> CheckResult:
    """Return that something is as it should be."""
    return CheckResult(Level.WELL, found)


def warning(found: str, advice: str) -> CheckResult:
    """Return that something works, but is perhaps not meant so."""
    return CheckResult(Level.WARNING, found, advice)


def wrong(found: str, advice: str) -> CheckResult:
    """Return that something does not work."""
    return CheckResult(Level.WRONG, found, advice)
