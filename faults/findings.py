"""What a comparison finds."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """What was not as it should be, a line each; and how the requests fared."""

    lost: list[str] = field(default_factory=list)
    """What was acknowledged, and is not there."""
    wrong: list[str] = field(default_factory=list)
    """What is otherwise than was asked for or told."""
    doubled: list[str] = field(default_factory=list)
    """What was asked for once, and is there twice."""
    repeated_mails: int = 0
    """Mails that came twice since the acceptance of the first was never heard."""
    requests: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    """How many requests were answered with an error or not at all, by what that was."""
    longest: float = 0.0
    """Seconds of the longest wait for an answer."""

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, wrong or doubled."""
        return not (self.lost or self.wrong or self.doubled)

    def lines(self) -> list[str]:
        """Return everything that was found, with what it is."""
        kinds = (("lost", self.lost), ("wrong", self.wrong), ("doubled", self.doubled))
        return [f"{kind}: {line}" for kind, found in kinds for line in found]
