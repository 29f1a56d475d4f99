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


@dataclass
class WaldurImportReport:
    """The result of one import: counts by kind, in the order of the import."""

    new: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    skipped: dict[tuple[str, str], NamedRows] = field(default_factory=dict)
    """Rows that were not imported, by kind and reason."""
    preserved: dict[tuple[str, str], NamedRows] = field(default_factory=dict)
    """Rows of this service that differ from Waldur and were left unchanged, by kind and reason."""
    adapted: dict[tuple[str, str], NamedRows] = field(default_factory=dict)
    """Rows that were imported with another value than Waldur's, by kind and difference."""

    def skip(self, kind: str, reason: str, row: str = "", count: int = 1) -> None:
        """Count rows that were not imported."""
        _add(self.skipped, kind, reason, row, count)

    def preserve(self, kind: str, reason: str, row: str = "", count: int = 1) -> None:
        """Count rows of this service that were left unchanged."""
        _add(self.preserved, kind, reason, row, count)

    def adapt(self, kind: str, difference: str, row: str) -> None:
        """Count a row that was imported with another value than Waldur's."""
        _add(self.adapted, kind, difference, row, 1)

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
        yield from _section("Imported with a difference:", self.adapted)
        yield from _section("Left unchanged in this service:", self.preserved)
        yield from _section("Not imported:", self.skipped)


def _add(
    rows: dict[tuple[str, str], NamedRows], kind: str, reason: str, row: str, count: int
) -> None:
    same_reason = rows.setdefault((kind, reason), NamedRows())
    same_reason.count += count
    if row and len(same_reason.examples) < _MAX_EXAMPLES:
        same_reason.examples.append(row)


def _section(title: str, rows: dict[tuple[str, str], NamedRows]) -> Iterator[str]:
    if rows:
        yield title
    for (kind, reason), named in rows.items():
        line = f"  {named.count} {_title(kind)}: {reason}"
        if named.examples:
            more = ", …" if named.count > len(named.examples) else ""
            line += f" ({', '.join(named.examples)}{more})"
        yield line


def _title(kind: str) -> str:
    return kind.replace("_", " ")


def describe_mapping_error(error: ValueError) -> str:
    """Return why a row could not be mapped."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return f"{field}: {first['msg'].removeprefix('Value error, ')}"
