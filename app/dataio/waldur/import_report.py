"""The result of an import from a Waldur, and its text for the operator."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

_MAX_EXAMPLES = 5


@dataclass
class NamedRows:
    """The number of rows with one reason, and the names of the first ones."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class RowsByReason(dict[tuple[str, str], NamedRows]):
    """Rows by kind and reason."""

    def add(self, kind: str, reason: str, row: str = "", count: int = 1) -> None:
        """Count rows, of which the report may name `row`."""
        same_reason = self.setdefault((kind, reason), NamedRows())
        same_reason.count += count
        if row and len(same_reason.examples) < _MAX_EXAMPLES:
            same_reason.examples.append(row)

    def lines(self, title: str) -> Iterator[str]:
        """Yield the text of a section of the report, which is empty without rows."""
        if self:
            yield title
        for (kind, reason), named in self.items():
            line = f"  {named.count} {_title(kind)}: {reason}"
            if named.examples:
                more = ", …" if named.count > len(named.examples) else ""
                line += f" ({', '.join(named.examples)}{more})"
            yield line


@dataclass
class WaldurImportReport:
    """The result of one import: counts by kind, in the order of the import."""

    new: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    skipped: RowsByReason = field(default_factory=RowsByReason)
    """Rows that were not imported."""
    preserved: RowsByReason = field(default_factory=RowsByReason)
    """Rows of this service that differ from Waldur and were left unchanged."""
    adapted: RowsByReason = field(default_factory=RowsByReason)
    """Rows that were imported with another value than Waldur's."""

    def lines(self) -> Iterator[str]:
        """Yield the text of the report."""
        kinds = list(dict.fromkeys([*self.new, *self.updated, *self.unchanged, *self.removed]))
        width = max((len(_title(kind)) for kind in kinds), default=0)
        for kind in kinds:
            counts = (
                f"{self.new[kind]:>8} new {self.updated[kind]:>8} updated"
                f" {self.unchanged[kind]:>8} unchanged"
            )
            removed = f" {self.removed[kind]:>8} removed" if self.removed[kind] else ""
            yield f"{_title(kind):<{width}} {counts}{removed}"
        yield from self.adapted.lines("Imported with a difference:")
        yield from self.preserved.lines("Left unchanged in this service:")
        yield from self.skipped.lines("Not imported:")


def _title(kind: str) -> str:
    return kind.replace("_", " ")


def describe_mapping_error(error: ValueError) -> str:
    """Return why a row could not be mapped."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
