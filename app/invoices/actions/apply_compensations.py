"""Let the credits of a customer pay items of an invoice that is not issued yet, and undo that."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.compensation import BilledMonth, CompensationPlan, plan_compensations
from app.billing.currencies import Currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.credits.actions import balances
from app.credits.actions.balances import BilledInvoice
from app.credits.repository import ledger
from app.credits.repository.ledger import CustomerCredits
from app.invoices.errors import InvoiceNotFound, WrongInvoiceState
from app.invoices.repository import compensations
from app.invoices.states import ISSUE
from app.logging import get_logger

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApplyCompensations:
    """Let the credits of the customer pay items of an invoice."""

    invoice_id: int
    is_final: bool = False
    """Whether the invoice is issued in the same transaction: the month's use of the credits is
    known then, and with it the expected consumption of the next month."""


@dataclass(frozen=True, slots=True)
class ClearCompensations:
    """Delete the compensations of an invoice, and return the amounts they took to the credits."""

    invoice_id: int


@dataclass(frozen=True, slots=True)
class ChangedCompensations:
    """The result of a change of compensations."""

    changed: bool
    """False if the compensations were already so."""


@dataclass(frozen=True, slots=True)
class _Settlement:
    """A locked invoice with the locked credits of its customer."""

    invoice_id: int
    invoice: BilledInvoice
    tax_percent: Decimal
    credits: CustomerCredits
    taken: dict[UUID, Decimal]
    """The amount that the invoice took from each balance."""
    present: Counter[tuple[str | None, Decimal]]
    """The compensations: the paid item and the amount."""

    @property
    def is_foreign(self) -> bool:
        """Whether compensations were imported without a ledger: they can only stay as they are."""
        return bool(self.present) and not self.taken


async def apply_compensations(
    connection: AsyncConnection, command: ApplyCompensations, currency: Currency
) -> ChangedCompensations:
    """Let credits pay items of an invoice as `plan_compensations` says; twice is as once.

    Compensations that the invoice has are replaced. Those that were imported without a ledger stay,
    and nothing is paid in addition. Raises `WrongInvoiceState` if the invoice is not pending, and
    `InvoiceNotFound`.
    """
    settlement = await _lock(connection, command.invoice_id)
    if settlement is None or settlement.is_foreign:
        return ChangedCompensations(False)
    plan = await _plan(connection, settlement, currency)
    changed = not _is_applied(settlement, plan)
    if changed:
        await _clear(connection, settlement)
        await compensations.insert_compensations(
            connection, command.invoice_id, settlement.credits.credit.id, plan.compensations
        )
        await balances.draw(connection, settlement.credits, plan, settlement.invoice)
    if command.is_final:
        await balances.advance_expectations(
            connection, settlement.credits, settlement.taken, plan, settlement.invoice.period
        )
    return ChangedCompensations(changed)


async def clear_compensations(
    connection: AsyncConnection, command: ClearCompensations
) -> ChangedCompensations:
    """Delete the compensations of an invoice, and give back exactly what the ledger says it took.

    Compensations that were imported without a ledger stay. Raises `WrongInvoiceState` if the
    invoice is not pending, and `InvoiceNotFound`.
    """
    settlement = await _lock(connection, command.invoice_id)
    if settlement is None or settlement.is_foreign:
        return ChangedCompensations(False)
    changed = bool(settlement.present) or any(settlement.taken.values())
    await _clear(connection, settlement)
    return ChangedCompensations(changed)


async def give_back_credits(
    connection: AsyncConnection, invoice_id: int, valid: Collection[InvoiceState]
) -> None:
    """Give back what an invoice took from credits; its items remain.

    Raises `WrongInvoiceState` if the invoice is not in one of the `valid` states.
    """
    settlement = await _lock(connection, invoice_id, valid)
    if settlement is not None:
        await balances.give_back(
            connection, settlement.credits, settlement.taken, settlement.invoice
        )


async def lock_credits(connection: AsyncConnection, invoice_id: int) -> CustomerCredits | None:
    """Lock the credits of the customer of an invoice, if any. The lock of the invoice follows.

    Raises `InvoiceNotFound`.
    """
    customer_id = await compensations.find_customer(connection, invoice_id)
    if customer_id is None:
        raise InvoiceNotFound
    return await ledger.lock_credits(connection, customer_id)


async def _lock(
    connection: AsyncConnection, invoice_id: int, valid: Collection[InvoiceState] = ISSUE.valid
) -> _Settlement | None:
    """Lock the credits of the customer, then the invoice; None if the customer has no credit."""
    credits = await lock_credits(connection, invoice_id)
    row = await compensations.lock_invoice(connection, invoice_id)
    if row.state not in valid:
        raise WrongInvoiceState(valid)
    if credits is None:
        return None
    return _Settlement(
        invoice_id,
        BilledInvoice(row.uuid, Period(row.year, row.month)),
        row.tax_percent,
        credits,
        await ledger.taken_by_invoice(connection, row.uuid),
        await compensations.find_compensations(connection, invoice_id, credits.credit.id),
    )


async def _plan(
    connection: AsyncConnection, settlement: _Settlement, currency: Currency
) -> CompensationPlan:
    """Return the plan for the balances that the credits had before this invoice."""
    credits, taken = settlement.credits, settlement.taken
    terms = balances.terms_before(credits.credit, taken)
    shares = {
        credit.project_id: balances.terms_before(credit, taken)
        for credit in credits.project_credits
        if credit.project_id is not None
    }
    allocated = sum((share.value for share in shares.values()), Decimal(0))
    if allocated > terms.value:
        _logger.warning(
            "projects have more credit than their organization",
            customer=str(credits.customer_uuid),
            projects=str(allocated),
            organization=str(terms.value),
        )
    charges = await compensations.find_charges(
        connection, settlement.invoice_id, credits.offering_ids
    )
    month = BilledMonth(settlement.invoice.period, settlement.tax_percent, currency)
    return plan_compensations(charges, terms, shares, month)


def _is_applied(settlement: _Settlement, plan: CompensationPlan) -> bool:
    """Return whether the invoice has the compensations of a plan, and took its amounts."""
    planned = Counter((each.item.hex, each.amount) for each in plan.compensations)
    return planned == settlement.present and balances.is_settled(
        settlement.credits, settlement.taken, plan
    )


async def _clear(connection: AsyncConnection, settlement: _Settlement) -> None:
    credit_id = settlement.credits.credit.id
    if settlement.present:
        await compensations.delete_compensations(connection, settlement.invoice_id, credit_id)
    await balances.give_back(connection, settlement.credits, settlement.taken, settlement.invoice)
