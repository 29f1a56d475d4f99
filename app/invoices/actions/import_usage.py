"""Import usage: add items to the invoices of customers for one month."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import BillingUnit
from app.billing.periods import Period
from app.invoices.actions.change_item import check_open, check_total
from app.invoices.actions.set_currency import use_currency
from app.invoices.errors import ClosedTarget, TotalTooLarge
from app.invoices.repository import items
from app.invoices.repository.items import LockedInvoice

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class UsageLine:
    """One charge of a customer."""

    name: str
    unit_price: Decimal
    customer_name: str = ""
    customer_uuid: UUID | None = None
    """It names the customer; without it the name does, whatever its case."""
    article_code: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    """The names of provider, offering and plan."""


@dataclass(frozen=True, slots=True)
class ImportUsage:
    """Add the lines to the invoices of a month."""

    period: Period
    lines: Sequence[UsageLine]


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that was not imported."""

    customer_name: str
    reason: str


@dataclass(slots=True)
class UsageImport:
    """The result of an import."""

    created: int = 0
    skipped: int = 0
    """Lines without a price, and lines that were on the invoice before."""
    errors: list[RejectedLine] = field(default_factory=list)


async def import_usage(
    connection: AsyncConnection, command: ImportUsage, currency: Currency
) -> UsageImport:
    """Add an item for each line, and open the invoices that are missing.

    A line whose name and article code the invoice had before is skipped, so that an import may be
    repeated. A line of an unknown customer, or of an invoice that was issued, is an error that does
    not affect the others. An invoice is opened only for lines that are imported.

    The number of statements does not depend on the number of customers.
    """
    result = UsageImport()
    await use_currency(connection, currency)
    by_customer = await _find_customers(connection, command.lines, result)
    invoices = await items.open_invoices_of_month(connection, by_customer, command.period)
    before = await items.find_names(connection, [invoice.id for invoice in invoices.values()])
    rows: list[dict[str, Any]] = []
    for customer_id, lines in sorted(by_customer.items()):
        invoice = invoices[customer_id]
        new = [line for line in lines if (invoice.id, line.name, line.article_code) not in before]
        try:
            _check(invoice, new, currency)
        except (ClosedTarget, TotalTooLarge) as error:
            result.errors += [_rejected(line, str(error)) for line in lines]
        else:
            rows += [_row(line, invoice.id, command.period) for line in new]
            result.skipped += len(lines) - len(new)
    await items.insert_items(connection, rows)
    result.created = len(rows)
    return result


async def _find_customers(
    connection: AsyncConnection, lines: Sequence[UsageLine], result: UsageImport
) -> dict[int, list[UsageLine]]:
    """Return the lines that have a price, by the customer's key."""
    uuids = {line.customer_uuid for line in lines if line.customer_uuid is not None}
    names = {line.customer_name.lower() for line in lines if line.customer_uuid is None}
    known = await items.find_customers(connection, uuids, names)
    found: defaultdict[int, list[UsageLine]] = defaultdict(list)
    for line in lines:
        keys = known[line.customer_uuid or line.customer_name.lower()]
        if len(keys) != 1:
            reason = "Several customers have this name." if keys else "Customer not found."
            result.errors.append(_rejected(line, reason))
        elif line.unit_price == 0:
            result.skipped += 1
        else:
            found[keys[0]].append(line)
    return found


def _rejected(line: UsageLine, reason: str) -> RejectedLine:
    return RejectedLine(line.customer_name or str(line.customer_uuid), reason)


def _check(invoice: LockedInvoice, new: Sequence[UsageLine], currency: Currency) -> None:
    """Raise `ClosedTarget` or `TotalTooLarge` if the lines cannot be added to the invoice."""
    check_open(invoice)
    prices = (money.item_price(line.unit_price, _ONE, currency) for line in new)
    check_total(invoice, sum(prices, Decimal(0)))


def _row(line: UsageLine, invoice_id: int, period: Period) -> dict[str, Any]:
    return {
        "invoice_id": invoice_id,
        "name": line.name,
        "unit_price": line.unit_price,
        "quantity": _ONE,
        "unit": BillingUnit.QUANTITY,
        "article_code": line.article_code,
        "start": period.start,
        "end": period.end,
        "details": {name: value for name, value in line.details.items() if value},
    }
