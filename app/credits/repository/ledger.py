"""The statements on balances and their ledger.

Each change of a balance, and of the set of a customer's credits, first locks the customer's credit.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    ARRAY,
    BigInteger,
    FromClause,
    Numeric,
    Row,
    func,
    literal,
    or_,
    select,
    union,
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
    customer_uuid: UUID
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
    locked = await lock_credits_of_many(connection, [customer_id], with_affiliates=with_affiliates)
    return locked.get(customer_id)


async def lock_credits_of_many(
    connection: AsyncConnection, customer_ids: Collection[int], *, with_affiliates: bool = True
) -> dict[int, CustomerCredits]:
    """Lock the credits of customers as `lock_credits` does; return those of each that has some."""
    given = literal(list(customer_ids), ARRAY(BigInteger))
    parties = select(func.unnest(given).label("customer_id"))
    affiliates = select(CustomerAffiliate.affiliate_id).where(
        equals_any(CustomerAffiliate.customer_id, customer_ids), CustomerAffiliate.is_active
    )
    locked = (
        select(CustomerCredit.__table__, Customer.uuid.label("customer_uuid"))
        .join(Customer, Customer.id == CustomerCredit.customer_id)
        .where(
            CustomerCredit.customer_id.in_(union(parties, affiliates))
            if with_affiliates
            else CustomerCredit.customer_id.in_(parties)
        )
        .order_by(CustomerCredit.id)
        .with_for_update(of=CustomerCredit)
    )
    rows = (await connection.execute(locked)).all()
    own = {row.customer_id: row for row in rows if row.customer_id in customer_ids}
    if not own:
        return {}
    projects = (
        select(
            ProjectCredit.__table__,
            Project.customer_id,
            Project.uuid.label("project_uuid"),
            Project.name.label("project_name"),
            Project.is_removed,
        )
        .join(Project, Project.id == ProjectCredit.project_id)
        .where(equals_any(Project.customer_id, own))
        .order_by(ProjectCredit.id)
        .with_for_update(of=ProjectCredit)
    )
    of_projects: defaultdict[int, list[Credit]] = defaultdict(list)
    for row in await connection.execute(projects):
        customer_uuid = own[row.customer_id].customer_uuid
        of_projects[row.customer_id].append(_project_credit(row, customer_uuid))
    paid = select(
        CustomerCreditOffering.customer_credit_id, CustomerCreditOffering.offering_id
    ).where(equals_any(CustomerCreditOffering.customer_credit_id, [row.id for row in own.values()]))
    offerings: defaultdict[int, list[int]] = defaultdict(list)
    for row in await connection.execute(paid):
        offerings[row.customer_credit_id].append(row.offering_id)
    return {
        customer_id: CustomerCredits(
            Credit(row.id, row.uuid, row.customer_uuid, _terms(row)),
            tuple(of_projects[customer_id]),
            tuple(offerings[row.id]),
        )
        for customer_id, row in own.items()
    }


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


def _project_credit(row: Row[*tuple[Any, ...]], customer_uuid: UUID) -> Credit:
    return Credit(
        row.id,
        row.uuid,
        customer_uuid,
        _terms(row),
        row.project_id,
        row.project_uuid,
        row.project_name,
        row.is_removed,
        row.mark_unused_credit_as_spent_on_project_termination,
    )


async def move(connection: AsyncConnection, movements: Sequence[Movement]) -> None:
    """Change balances, and record each movement in the ledger. A movement of zero is none.

    Each movement of a balance is a change of its own in the record of changes. Raises
    `BalanceTooLarge`.
    """
    moved = [movement for movement in movements if movement.amount]
    if not moved:
        return
    for turn in _turns(moved):
        for table in (CustomerCredit, ProjectCredit):
            given = {each.credit.id: each.amount for each in turn if _table(each.credit) is table}
            if not given:
                continue
            changed = _given(given)
            balance = table.value + changed.c.amount
            statement = (
                update(table)
                .where(table.id == changed.c.id, balance <= BALANCE_MAX)
                .values(value=balance)
            )
            if (await connection.execute(statement)).rowcount != len(given):
                raise BalanceTooLarge
    await connection.execute(insert(CreditTransaction), [_ledger_row(each) for each in moved])


def _turns(movements: Sequence[Movement]) -> Iterator[list[Movement]]:
    """Yield the first movement of each balance, then the second of each, and so on."""
    of_balance: defaultdict[UUID, list[Movement]] = defaultdict(list)
    for movement in movements:
        of_balance[movement.credit.uuid].append(movement)
    for place in range(max(map(len, of_balance.values()))):
        yield [each[place] for each in of_balance.values() if place < len(each)]


def _table(credit: Credit) -> type[CustomerCredit | ProjectCredit]:
    return CustomerCredit if credit.project_id is None else ProjectCredit


def _given(amounts: Mapping[int, Decimal]) -> FromClause:
    """Return amounts by the ids of credits as a table."""
    return (
        func.unnest(
            literal(list(amounts), ARRAY(BigInteger)),
            literal(list(amounts.values()), ARRAY(Numeric)),
        )
        .table_valued("id", "amount")
        .render_derived()
    )


def _ledger_row(movement: Movement) -> dict[str, Any]:
    credit = movement.credit
    is_project = credit.project_id is not None
    return {
        "uuid": uuid4(),
        "customer_uuid": credit.customer_uuid,
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


async def taken_by_invoices(
    connection: AsyncConnection, invoice_uuids: Collection[UUID]
) -> dict[UUID, dict[UUID, Decimal]]:
    """Return the amount that each invoice took from each balance and did not give back.

    An invoice that never took anything, which differs from zero, is left out.
    """
    credit_uuid = func.coalesce(
        CreditTransaction.customer_credit_uuid, CreditTransaction.project_credit_uuid
    ).label("credit_uuid")
    statement = (
        select(
            CreditTransaction.invoice_uuid,
            credit_uuid,
            (-func.sum(CreditTransaction.amount)).label("taken"),
        )
        .where(
            equals_any(CreditTransaction.invoice_uuid, invoice_uuids),
            CreditTransaction.transaction_type.in_(_OF_AN_INVOICE),
            credit_uuid.is_not(None),
        )
        .group_by(CreditTransaction.invoice_uuid, credit_uuid)
    )
    taken: defaultdict[UUID, dict[UUID, Decimal]] = defaultdict(dict)
    for row in await connection.execute(statement):
        taken[row.invoice_uuid][row.credit_uuid] = row.taken
    return dict(taken)


async def sum_earned(connection: AsyncConnection, credit: Credit) -> Decimal:
    """Return the sum of the earned movements of a customer's credit."""
    statement = select(EARNED_SUM).select_from(CustomerCredit).where(CustomerCredit.id == credit.id)
    return Decimal((await connection.execute(statement)).scalar_one())


async def set_columns(
    connection: AsyncConnection, credit: Credit, values: Mapping[str, Any]
) -> None:
    """Set columns of a locked credit; not the balance, which `move` changes."""
    table = _table(credit)
    await connection.execute(update(table).where(table.id == credit.id).values(**values))


async def set_expectations(
    connection: AsyncConnection, expected: Sequence[tuple[Credit, Decimal]]
) -> None:
    """Set the expected consumption of locked credits."""
    for table in (CustomerCredit, ProjectCredit):
        given = {credit.id: amount for credit, amount in expected if _table(credit) is table}
        if given:
            changed = _given(given)
            statement = update(table).where(table.id == changed.c.id)
            await connection.execute(statement.values(expected_consumption=changed.c.amount))
