"""The result of a comparison."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """The discrepancies, one line each, and statistics of the requests."""

    lost: list[str] = field(default_factory=list)
    """Acknowledged changes that are missing."""
    wrong: list[str] = field(default_factory=list)
    """Stored data or responses that contradict the requests."""
    doubled: list[str] = field(default_factory=list)
    """Changes that were requested once and stored twice."""
    repeated_mails: int = 0
    """Mails sent twice because the reply to the first was lost."""
    requests: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """The number of failed requests, by status or exception."""
    longest: float = 0.0
    """The longest response time in seconds."""

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, wrong or doubled."""
        return not (self.lost or self.wrong or self.doubled)

    def lines(self) -> list[str]:
        """Return all discrepancies with their kind."""
        kinds = (("lost", self.lost), ("wrong", self.wrong), ("doubled", self.doubled))
        return [f"{kind}: {line}" for kind, found in kinds for line in found]
