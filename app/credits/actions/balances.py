"""Movements of balances that an invoice or a date causes. The caller has locked the credits."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.compensation import CompensationPlan, CreditTerms, Draw, terms_after
from app.billing.enums import CreditTransactionType
from app.billing.periods import Period
from app.credits.repository import ledger
from app.credits.repository.ledger import Credit, CustomerCredits, Movement

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class BilledInvoice:
    """The invoice that a movement is about."""

    uuid: UUID
    period: Period


def terms_before(credit: Credit, taken: Mapping[UUID, Decimal]) -> CreditTerms:
    """Return the terms of a credit without the amounts that an invoice took from it."""
    return replace(credit.terms, value=credit.terms.value + taken.get(credit.uuid, _ZERO))


def draw_of(credit: Credit, plan: CompensationPlan) -> Draw:
    """Return the amounts that a plan takes from a credit."""
    if credit.project_id is None:
        return plan.customer
    return plan.projects.get(credit.project_id, Draw())


def is_settled(
    credits: CustomerCredits, taken: Mapping[UUID, Decimal], plan: CompensationPlan
) -> bool:
    """Return whether an invoice took exactly the amounts of a plan."""
    return all(
        taken.get(credit.uuid, _ZERO) == draw_of(credit, plan).total for credit in credits.all
    )


def give_back(
    credits: CustomerCredits, taken: Mapping[UUID, Decimal], invoice: BilledInvoice
) -> list[Movement]:
    """Return the movements that return to each balance the amount that an invoice took from it."""
    return [
        Movement(
            credit,
            taken.get(credit.uuid, _ZERO),
            CreditTransactionType.ROLLBACK,
            period=invoice.period,
            invoice_uuid=invoice.uuid,
        )
        for credit in credits.all
    ]


def draw(
    credits: CustomerCredits, plan: CompensationPlan, invoice: BilledInvoice
) -> Iterator[Movement]:
    """Yield the movements that take the amounts of a plan from the balances."""
    for credit in credits.all:
        amounts = draw_of(credit, plan)
        for amount, kind in (
            (amounts.paid, CreditTransactionType.COMPENSATION),
            (amounts.forfeited, CreditTransactionType.MINIMAL_DRAW),
        ):
            yield Movement(credit, -amount, kind, period=invoice.period, invoice_uuid=invoice.uuid)


def advance_expectations(
    credits: CustomerCredits,
    taken: Mapping[UUID, Decimal],
    plan: CompensationPlan,
    period: Period,
) -> Iterator[tuple[Credit, Decimal]]:
    """Yield the credits whose expected consumption differs in the month after an invoice.

    Each comes with its expected consumption, as linear credits have it. `taken` are the amounts
    that the invoice had taken when the credits were locked.
    """
    for credit in credits.all:
        after = terms_after(terms_before(credit, taken), draw_of(credit, plan), period)
        if after.expected_consumption != credit.terms.expected_consumption:
            yield credit, after.expected_consumption


async def expire(
    connection: AsyncConnection, credits: Iterable[CustomerCredits], ended: Collection[UUID]
) -> int:
    """Zero the balances of the credits with these UUIDs; return how many were not zero.

    The balance of a removed project is taken from the customer's credit, too, if the project's
    credit says so, as far as that reaches.
    """
    movements: list[Movement] = []
    expired = 0
    for of_customer in credits:
        zeroed = [each for each in of_customer.all if each.uuid in ended and each.terms.value]
        movements += _expiries(of_customer, zeroed)
        expired += len(zeroed)
    await ledger.move(connection, movements)
    return expired


def _expiries(credits: CustomerCredits, zeroed: Sequence[Credit]) -> Iterator[Movement]:
    """Yield the movements that zero the balances of credits of a customer, its own at last."""
    left = credits.credit.terms.value
    for credit in zeroed:
        if credit.project_id is None:
            continue
        yield Movement(credit, -credit.terms.value, CreditTransactionType.EXPIRY)
        if credit.project_is_removed and credit.spends_rest_with_project:
            spent = min(left, credit.terms.value)
            left -= spent
            comment = f"Unused credit of the project {credit.project_name}."
            yield Movement(credits.credit, -spent, CreditTransactionType.EXPIRY, comment)
    if credits.credit in zeroed:
        yield Movement(credits.credit, -left, CreditTransactionType.EXPIRY)
