"""The options of an import of cost exports."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class FocusImportOptions:
    """The operator's options, each with its default."""

    tax_percent: Decimal | None = None
    """The tax of every invoice. None: new invoices and those with tax rows have 0, and existing
    invoices keep theirs."""
    currency: str | None = None
    """Import only the charges in this currency. None: all charges, which must be in the
    deployment's currency."""
    issue: bool = False
    """Issue the invoices of past months."""
    notify: bool = False
    """Send notifications of the issued invoices if NOTIFY_ON_ISSUE is on."""
    drop_tax_rows: bool = False
    """Skip the charges of the category Tax."""
    allow_equal_rows: bool = False
    """Import files that have equal rows, as parts of one export may."""
    replace: bool = False
    """Remove the charges of earlier imports that are not in the files."""
    credit: bool = False
    """Bill the differences of restated bills, whose invoices are issued."""
    keep_good: bool = False
    """Skip the invoices that cannot be changed, and import the others."""


DEFAULT_OPTIONS = FocusImportOptions()
