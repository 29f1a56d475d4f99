"""The table of a printed document: its columns, and the lines by project."""

from collections.abc import Sequence
from decimal import Decimal
from heapq import nlargest
from typing import Any

from app.billing.periods import Period
from app.documents.document import FrozenDocument
from app.documents.formats import Formats, to_one_line
from app.documents.printed_lines import (
    InvoiceLine,
    ProjectSection,
    divide_by_project,
    is_summed_up,
)
from app.documents.printed_sums import has_tax_columns
from app.documents.texts import Texts

Json = dict[str, Any]


def build_table(
    document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts, formats: Formats
) -> Json:
    """Return the columns with their longest texts, and the sections of the table."""
    return _Table(document, lines, texts, formats).build()


class _Table:
    """Builds the table of one document."""

    def __init__(
        self, document: FrozenDocument, lines: Sequence[InvoiceLine], texts: Texts, formats: Formats
    ) -> None:
        self.document = document
        self.lines = lines
        self.texts = texts
        self.formats = formats
        self.summed_up = is_summed_up(document)
        self.has_tax_columns = has_tax_columns(document)

    def build(self) -> Json:
        """Return the whole table."""
        columns, sections = self.columns(), self.sections()
        longest = self.longest_cells(sections, len(columns))
        for column, texts in zip(columns, longest, strict=True):
            column["longest"] = texts
        price_column = len(columns) - (3 if self.has_tax_columns else 1)
        return {"columns": columns, "price-column": price_column, "sections": sections}

    def columns(self) -> list[Json]:
        """Return the headings of the table; `number` columns are right-aligned."""
        _ = self.texts.gettext
        columns = [(_("Description"), False)]
        if self.summed_up:
            columns.append((_("Items"), True))
        else:
            columns += [(_("Quantity"), True), (_("Unit"), False), (_("Unit price"), True)]
        columns.append((_("Price"), True))
        if self.has_tax_columns:
            columns += [(_("Tax"), True), (_("Total"), True)]
        return [{"label": label, "number": number} for label, number in columns]

    def sections(self) -> list[Json]:
        """Return the lines by project, with a subtotal for each of several."""
        _ = self.texts.gettext
        sections = divide_by_project(self.lines)
        subtotal = (
            _("{project}, without tax")
            if self.document.provider_tax is None
            else _("{project}, sum")
        )
        several = len(sections) > 1
        built = []
        for section in sections:
            named = section.project is not None
            heading = to_one_line(section.project or "") if named else _("Other items")
            built.append(
                {
                    "heading": heading if named or several else None,
                    "lines": self._section_lines(section),
                    "subtotal": {
                        "label": subtotal.format(project=heading),
                        "amount": self.formats.amount(section.price),
                    }
                    if several
                    else None,
                }
            )
        return built

    def _section_lines(self, section: ProjectSection) -> list[Json]:
        return [
            {
                "name": to_one_line(line.name),
                "notes": self._line_notes(line, resource),
                "cells": self._cells(line),
            }
            for line, resource in section.lines_with_resources()
        ]

    def _line_notes(self, line: InvoiceLine, resource: str) -> list[Json]:
        _ = self.texts.gettext
        notes = [
            (to_one_line(resource), False),
            (_("Compensation") if line.credit else "", True),
            (_("Tax charged by the provider") if line.is_provider_tax else "", False),
            (self._charged_days(line), False),
        ]
        return [{"text": text, "credit": credit} for text, credit in notes if text]

    def _charged_days(self, line: InvoiceLine) -> str:
        """Format the days of a line; empty for the whole month."""
        month = Period(self.document.year, self.document.month)
        if (line.start, line.end) in ((None, None), (month.first_day, month.last_day)):
            return ""
        days = dict.fromkeys((self.formats.day(line.start), self.formats.day(line.end)))
        return " \u2013 ".join(days)

    def _cells(self, line: InvoiceLine) -> list[str]:
        formats = self.formats
        if line.quantity is None or line.unit_price is None:
            cells = [formats.quantity(Decimal(line.items))]
        else:
            cells = [
                formats.quantity(line.quantity),
                to_one_line(line.unit),
                formats.amount(line.unit_price),
            ]
        cells.append(formats.amount(line.price))
        if self.has_tax_columns:
            cells += [formats.amount(line.tax), formats.amount(line.total)]
        return cells

    def longest_cells(self, sections: Sequence[Json], columns: int) -> list[list[str]]:
        """Return the longest texts of each column, by which the template sets its width."""
        rows = [line["cells"] for section in sections for line in section["lines"]]
        subtotals = [section["subtotal"]["amount"] for section in sections if section["subtotal"]]
        longest = [nlargest(2, cells, key=len) for cells in zip(*rows, strict=True)]
        longest = [[], *longest] if rows else [[] for _ in range(columns)]
        longest[-3 if self.has_tax_columns else -1] += nlargest(1, subtotals, key=len)
        return longest
