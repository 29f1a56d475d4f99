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
class Finding:
    """One line: what was found, and what to do about it unless all is well."""

    level: Level
    found: str
    advice: str = ""


def well(found: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(Level.WELL, found)


def warning(found: str, advice: str) -> Finding:
    """Return that something works, but is perhaps not meant so."""
    return Finding(Level.WARNING, found, advice)


def wrong(found: str, advice: str) -> Finding:
    """Return that something does not work."""
    return Finding(Level.WRONG, found, advice)
