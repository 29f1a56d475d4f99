"""What an import from a Waldur did, what it left out and why."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

EXAMPLES = 5


@dataclass
class Omission:
    """Rows that were left out, or kept as they are here, for one reason."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass
class Report:
    """Counts by kind of record, in the order in which they were brought."""

    new: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    left_out: dict[tuple[str, str], Omission] = field(default_factory=dict)
    """By kind and reason: not brought, or not updated."""
    kept: dict[tuple[str, str], Omission] = field(default_factory=dict)
    """By kind and reason: changed here, and therefore left as it is here."""
    notes: list[str] = field(default_factory=list)

    def leave_out(self, kind: str, why: str, which: str = "", count: int = 1) -> None:
        """Count what isn't brought over."""
        _add(self.left_out, kind, why, which, count)

    def keep(self, kind: str, why: str, which: str = "", count: int = 1) -> None:
        """Count what stays as it is here although Waldur has it."""
        _add(self.kept, kind, why, which, count)

    def lines(self) -> Iterator[str]:
        """Tell it all, for people."""
        kinds = list(dict.fromkeys([*self.new, *self.updated, *self.unchanged, *self.removed]))
        width = max((len(_words(kind)) for kind in kinds), default=0)
        for kind in kinds:
            counts = (
                f"{self.new[kind]:>8} new {self.updated[kind]:>8} updated"
                f" {self.unchanged[kind]:>8} unchanged"
            )
            removed = f" {self.removed[kind]:>8} removed" if self.removed[kind] else ""
            yield f"{_words(kind):<{width}} {counts}{removed}"
        yield from _section("Kept as they are here:", self.kept)
        yield from _section("Left out:", self.left_out)
        yield from self.notes


def _add(
    omissions: dict[tuple[str, str], Omission], kind: str, why: str, which: str, count: int
) -> None:
    omission = omissions.setdefault((kind, why), Omission())
    omission.count += count
    if which and len(omission.examples) < EXAMPLES:
        omission.examples.append(which)


def _section(title: str, omissions: dict[tuple[str, str], Omission]) -> Iterator[str]:
    if omissions:
        yield title
    for (kind, why), omission in omissions.items():
        line = f"  {omission.count} {_words(kind)}: {why}"
        if omission.examples:
            more = ", …" if omission.count > len(omission.examples) else ""
            line += f" ({', '.join(omission.examples)}{more})"
        yield line


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def why(error: ValueError) -> str:
    """Tell in words why a row could not be mapped."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
