"""Let the credits of a customer pay items of an invoice that is not issued yet, and undo that."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.compensation import BilledMonth, Charge, CompensationPlan, plan_compensations
from app.billing.currencies import Currency
from app.billing.enums import InvoiceState
from app.billing.periods import Period
from app.credits.actions import balances
from app.credits.actions.balances import BilledInvoice
from app.credits.repository import ledger
from app.credits.repository.ledger import Credit, CustomerCredits, Movement
from app.invoices.errors import InvoiceNotFound, WrongInvoiceState
from app.invoices.repository import compensations
from app.invoices.repository.compensations import LockedInvoice, NewCompensation
from app.invoices.states import ISSUE
from app.logging import get_logger

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ApplyCompensations:
    """Let the credits of the customer pay items of an invoice."""

    invoice_id: int


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
class Settlement:
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
    settlements = await _lock(connection, command.invoice_id)
    return ChangedCompensations(bool(await settle(connection, settlements, currency)))


async def clear_compensations(
    connection: AsyncConnection, command: ClearCompensations
) -> ChangedCompensations:
    """Delete the compensations of an invoice, and give back exactly what the ledger says it took.

    Compensations that were imported without a ledger stay. Raises `WrongInvoiceState` if the
    invoice is not pending, and `InvoiceNotFound`.
    """
    settlements = await _lock(connection, command.invoice_id)
    cleared = [each for each in settlements if not each.is_foreign]
    await _clear(connection, cleared)
    changed = any(bool(each.present) or any(each.taken.values()) for each in cleared)
    return ChangedCompensations(changed)


async def give_back_credits(
    connection: AsyncConnection, invoice_id: int, valid: Collection[InvoiceState]
) -> None:
    """Give back what an invoice took from credits; its items remain.

    Raises `WrongInvoiceState` if the invoice is not in one of the `valid` states.
    """
    await _give_back(connection, await _lock(connection, invoice_id, valid))


async def lock_credits(connection: AsyncConnection, invoice_id: int) -> CustomerCredits | None:
    """Lock the credits of the customer of an invoice, if any. The lock of the invoice follows.

    Raises `InvoiceNotFound`.
    """
    customers = await compensations.find_customers(connection, [invoice_id])
    if invoice_id not in customers:
        raise InvoiceNotFound
    return await ledger.lock_credits(connection, customers[invoice_id])


async def find_settlements(
    connection: AsyncConnection,
    invoices: Sequence[LockedInvoice],
    credits: Mapping[int, CustomerCredits],
) -> list[Settlement]:
    """Return the settlements of those locked invoices whose customers have locked credits.

    `credits` has them by the id of the customer.
    """
    credited = {
        each.id: credits[each.customer_id] for each in invoices if each.customer_id in credits
    }
    if not credited:
        return []
    taken = await ledger.taken_by_invoices(
        connection, [each.uuid for each in invoices if each.id in credited]
    )
    present = await compensations.find_compensations(connection, _credit_ids(credited))
    return [
        Settlement(
            each.id,
            BilledInvoice(each.uuid, Period(each.year, each.month)),
            each.tax_percent,
            credited[each.id],
            taken.get(each.uuid, {}),
            present[each.id],
        )
        for each in invoices
        if each.id in credited
    ]


async def settle(
    connection: AsyncConnection,
    settlements: Sequence[Settlement],
    currency: Currency,
    *,
    is_final: bool = False,
) -> int:
    """Let credits pay items of invoices of different customers; return how many invoices changed.

    `is_final` says that the invoices are issued in the same transaction: the month's use of the
    credits is known then, and with it the expected consumption of the next month.
    """
    owned = [each for each in settlements if not each.is_foreign]
    if not owned:
        return 0
    charges = await compensations.find_charges(
        connection, {each.invoice_id: each.credits.offering_ids for each in owned}
    )
    planned = [(each, _plan(each, charges[each.invoice_id], currency)) for each in owned]
    changed = [(each, plan) for each, plan in planned if not _is_applied(each, plan)]
    await _clear(connection, [each for each, _ in changed])
    await compensations.insert_compensations(
        connection,
        [
            NewCompensation(each.invoice_id, each.credits.credit.id, paid)
            for each, plan in changed
            for paid in plan.compensations
        ],
    )
    await ledger.move(
        connection,
        [
            movement
            for each, plan in changed
            for movement in balances.draw(each.credits, plan, each.invoice)
        ],
    )
    if is_final:
        expected: list[tuple[Credit, Decimal]] = []
        for each, plan in planned:
            expected += balances.advance_expectations(
                each.credits, each.taken, plan, each.invoice.period
            )
        await ledger.set_expectations(connection, expected)
    return len(changed)


async def _lock(
    connection: AsyncConnection, invoice_id: int, valid: Collection[InvoiceState] = ISSUE.valid
) -> list[Settlement]:
    """Lock the credits of the customer, then the invoice; empty if the customer has no credit."""
    credits = await lock_credits(connection, invoice_id)
    locked = await compensations.lock_invoices(connection, [invoice_id])
    if invoice_id not in locked:
        raise InvoiceNotFound
    invoice = locked[invoice_id]
    if invoice.state not in valid:
        raise WrongInvoiceState(valid)
    return await find_settlements(
        connection, [invoice], {} if credits is None else {invoice.customer_id: credits}
    )


def _plan(
    settlement: Settlement, charges: Sequence[Charge], currency: Currency
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
            customer=str(credits.credit.customer_uuid),
            projects=str(allocated),
            organization=str(terms.value),
        )
    month = BilledMonth(settlement.invoice.period, settlement.tax_percent, currency)
    return plan_compensations(charges, terms, shares, month)


def _is_applied(settlement: Settlement, plan: CompensationPlan) -> bool:
    """Return whether an invoice has the compensations of a plan, and took its amounts."""
    planned = Counter((each.item.hex, each.amount) for each in plan.compensations)
    return planned == settlement.present and balances.is_settled(
        settlement.credits, settlement.taken, plan
    )


async def _clear(connection: AsyncConnection, settlements: Sequence[Settlement]) -> None:
    compensated = {each.invoice_id: each.credits for each in settlements if each.present}
    await compensations.delete_compensations(connection, _credit_ids(compensated))
    await _give_back(connection, settlements)


async def _give_back(connection: AsyncConnection, settlements: Sequence[Settlement]) -> None:
    movements: list[Movement] = []
    for each in settlements:
        movements += balances.give_back(each.credits, each.taken, each.invoice)
    await ledger.move(connection, movements)


def _credit_ids(credits: Mapping[int, CustomerCredits]) -> dict[int, int]:
    return {invoice_id: each.credit.id for invoice_id, each in credits.items()}
