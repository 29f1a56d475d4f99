"""The months that credits show, as parameters of statements."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.credits.models import billed_invoice
from app.identity.access import Scope, visibility_of
from app.identity.caller import Caller

IS_CHARGED: Final = billed_invoice.c.state != InvoiceState.CANCELED
"""The condition that an invoice was not canceled. A cancellation gives back what credits paid."""
_MONTHS: Final = {"this": 0, "last": -1}


def is_of_month(name: str) -> ColumnElement[bool]:
    """Return the condition that an invoice is of the running month, `this`, or of the `last`."""
    return and_(
        billed_invoice.c.year == bindparam(f"{name}_year"),
        billed_invoice.c.month == bindparam(f"{name}_month"),
    )


def visibility_with_months(caller: Caller, now: datetime) -> tuple[Scope, dict[str, Any]]:
    """Return the visibility of a caller, with the parameters of `is_of_month`."""
    scope, values = visibility_of(caller, now)
    running = Period.containing(now)
    for name, offset in _MONTHS.items():
        period = running.shifted(offset)
        values = values | {f"{name}_year": period.year, f"{name}_month": period.month}
    return scope, values
