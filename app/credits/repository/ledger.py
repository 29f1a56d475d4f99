"""The statements on balances and their ledger.

Each change of a balance, and of the set of a customer's credits, first locks the customer's credit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    Row,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.compensation import CreditTerms
from app.billing.enums import (
    EARNED,
    CreditTransactionType,
    MinimalConsumptionLogic,
)
from app.billing.periods import Period
from app.credits.errors import BalanceTooLarge
from app.credits.models import (
    BALANCE_MAX,
    CreditTransaction,
    CustomerAffiliate,
    CustomerCredit,
    CustomerCreditOffering,
    ProjectCredit,
)
from app.customers.models import Customer, Project
from app.database.statements import equals_any

_OF_AN_INVOICE: Final = (
    CreditTransactionType.COMPENSATION,
    CreditTransactionType.MINIMAL_DRAW,
    CreditTransactionType.ROLLBACK,
)
"""The movements that the compensation of an invoice causes, and those that undo them."""
EARNED_SUM: Final = (
    select(func.coalesce(func.sum(CreditTransaction.amount), 0))
    .where(
        CreditTransaction.customer_credit_uuid == CustomerCredit.uuid,
        CreditTransaction.transaction_type.in_(EARNED),
    )
    .correlate(CustomerCredit)
    .scalar_subquery()
)
"""The sum of the earned movements of a customer's credit."""


@dataclass(frozen=True, slots=True)
class Credit:
    """A credit of a customer or of a project."""

    id: int
    uuid: UUID
    terms: CreditTerms
    project_id: int | None = None
    """Null for the customer's credit."""
    project_uuid: UUID | None = None
    project_name: str = ""
    project_is_removed: bool = False
    spends_rest_with_project: bool = False
    """Whether the balance is taken from the customer's credit, too, when the project is removed."""


@dataclass(frozen=True, slots=True)
class CustomerCredits:
    """The locked credits of one customer."""

    customer_uuid: UUID
    credit: Credit
    """The customer's."""
    project_credits: tuple[Credit, ...]
    offering_ids: tuple[int, ...]
    """The offerings whose items are paid; none means every item."""

    @property
    def all(self) -> tuple[Credit, ...]:
        """The customer's credit and those of projects."""
        return (self.credit, *self.project_credits)


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement of one balance, to be recorded in the ledger."""

    credit: Credit
    amount: Decimal
    """Positive if the balance rises."""
    transaction_type: CreditTransactionType
    comment: str = ""
    period: Period | None = None
    """The month that the movement is about."""
    invoice_uuid: UUID | None = None


async def lock_credits(
    connection: AsyncConnection, customer_id: int, *, with_affiliates: bool = True
) -> CustomerCredits | None:
    """Lock the credits of a customer; return None if the customer has none of its own.

    The credit of an affiliate, whose fee may raise it in the same transaction, is locked with it,
    in one order for all.
    """
    affiliates = select(CustomerAffiliate.affiliate_id).where(
        CustomerAffiliate.customer_id == customer_id, CustomerAffiliate.is_active
    )
    locked = (
        select(CustomerCredit.__table__, Customer.uuid.label("customer_uuid"))
        .join(Customer, Customer.id == CustomerCredit.customer_id)
        .where(
            or_(
                CustomerCredit.customer_id == customer_id,
                CustomerCredit.customer_id.in_(affiliates) if with_affiliates else false(),
            )
        )
        .order_by(CustomerCredit.id)
        .with_for_update(of=CustomerCredit)
    )
    rows = (await connection.execute(locked)).all()
    own = next((row for row in rows if row.customer_id == customer_id), None)
    if own is None:
        return None
    projects = (
        select(
            ProjectCredit.__table__,
            Project.uuid.label("project_uuid"),
            Project.name.label("project_name"),
            Project.is_removed,
        )
        .join(Project, Project.id == ProjectCredit.project_id)
        .where(Project.customer_id == customer_id)
        .order_by(ProjectCredit.id)
        .with_for_update(of=ProjectCredit)
    )
    offerings = select(CustomerCreditOffering.offering_id).where(
        CustomerCreditOffering.customer_credit_id == own.id
    )
    return CustomerCredits(
        own.customer_uuid,
        Credit(own.id, own.uuid, _terms(own)),
        tuple(_project_credit(row) for row in await connection.execute(projects)),
        tuple((await connection.execute(offerings)).scalars()),
    )


async def lock_credits_of_customers(
    connection: AsyncConnection, customers: Collection[UUID]
) -> None:
    """Lock the credits of customers and of their affiliates, in the order of all."""
    ids = select(Customer.id).where(equals_any(Customer.uuid, customers))
    affiliates = select(CustomerAffiliate.affiliate_id).where(
        CustomerAffiliate.customer_id.in_(ids), CustomerAffiliate.is_active
    )
    statement = (
        select(CustomerCredit.id)
        .where(or_(CustomerCredit.customer_id.in_(ids), CustomerCredit.customer_id.in_(affiliates)))
        .order_by(CustomerCredit.id)
        .with_for_update()
    )
    await connection.execute(statement)


def _terms(row: Row[*tuple[Any, ...]]) -> CreditTerms:
    return CreditTerms(
        row.value,
        row.end_date,
        row.expected_consumption,
        MinimalConsumptionLogic(row.minimal_consumption_logic),
        row.grace_coefficient,
        row.apply_as_minimal_consumption,
    )


def _project_credit(row: Row[*tuple[Any, ...]]) -> Credit:
    return Credit(
        row.id,
        row.uuid,
        _terms(row),
        row.project_id,
        row.project_uuid,
        row.project_name,
        row.is_removed,
        row.mark_unused_credit_as_spent_on_project_termination,
    )


async def move(
    connection: AsyncConnection, credits: CustomerCredits, movements: Sequence[Movement]
) -> None:
    """Change balances, and record each movement in the ledger. A movement of zero is none.

    Raises `BalanceTooLarge`.
    """
    rows: list[dict[str, Any]] = []
    for movement in movements:
        if not movement.amount:
            continue
        credit = movement.credit
        is_project = credit.project_id is not None
        table = ProjectCredit if is_project else CustomerCredit
        balance = table.value + movement.amount
        statement = update(table).where(table.id == credit.id, balance <= BALANCE_MAX)
        if not (await connection.execute(statement.values(value=balance))).rowcount:
            raise BalanceTooLarge
        rows.append(
            {
                "uuid": uuid4(),
                "customer_uuid": credits.customer_uuid,
                "customer_credit_uuid": None if is_project else credit.uuid,
                "project_credit_uuid": credit.uuid if is_project else None,
                "project_uuid": credit.project_uuid,
                "project_name": credit.project_name,
                "amount": movement.amount,
                "transaction_type": movement.transaction_type,
                "comment": movement.comment,
                "billing_period": movement.period and movement.period.first_day,
                "invoice_uuid": movement.invoice_uuid,
                "created_at": clock.now(),
            }
        )
    if rows:
        await connection.execute(insert(CreditTransaction), rows)


async def taken_by_invoice(connection: AsyncConnection, invoice_uuid: UUID) -> dict[UUID, Decimal]:
    """Return the amount that an invoice took from each balance and did not give back.

    Empty if the invoice never took anything, which differs from zero.
    """
    credit_uuid = func.coalesce(
        CreditTransaction.customer_credit_uuid, CreditTransaction.project_credit_uuid
    ).label("credit_uuid")
    statement = (
        select(credit_uuid, (-func.sum(CreditTransaction.amount)).label("taken"))
        .where(
            CreditTransaction.invoice_uuid == invoice_uuid,
            CreditTransaction.transaction_type.in_(_OF_AN_INVOICE),
            credit_uuid.is_not(None),
        )
        .group_by(credit_uuid)
    )
    return {row.credit_uuid: row.taken for row in await connection.execute(statement)}


async def sum_earned(connection: AsyncConnection, credit: Credit) -> Decimal:
    """Return the sum of the earned movements of a customer's credit."""
    statement = select(EARNED_SUM).select_from(CustomerCredit).where(CustomerCredit.id == credit.id)
    return Decimal((await connection.execute(statement)).scalar_one())


async def set_columns(
    connection: AsyncConnection, credit: Credit, values: Mapping[str, Any]
) -> None:
    """Set columns of a locked credit; not the balance, which `move` changes."""
    table = CustomerCredit if credit.project_id is None else ProjectCredit
    await connection.execute(update(table).where(table.id == credit.id).values(**values))
