"""The statements on compensations: items by which credits pay other items of an invoice."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    Numeric,
    Text,
    Uuid,
    and_,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    true,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.compensation import Charge, Compensation
from app.billing.enums import BillingUnit
from app.catalogue.models import Resource
from app.credits.models import CustomerCredit, ProjectCredit
from app.customers.models import Project
from app.database.statements import equals_any
from app.invoices import states
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.repository.items import COMPENSATED_ITEM

NAME_PREFIX: Final = "Credit compensation. "
IS_COMPENSATION: Final = "is_compensation"
PAID_ITEM: Final = "compensation_of_item"
"""The key in `details` of a compensation: the UUID of the paid item, hexadecimal."""
DISCOUNTED_ITEM: Final = "discount_of_item"
"""The key in `details` of a discount: the UUID of its item, hexadecimal."""
_REDUCED_ITEMS: Final = (PAID_ITEM, DISCOUNTED_ITEM, COMPENSATED_ITEM)
_project_id: Final = func.coalesce(InvoiceItem.project_id, Resource.project_id)
"""The project whose credit pays an item. It needs a join of the item's resource."""


async def find_pending(connection: AsyncConnection, customer_id: int) -> Sequence[int]:
    """Return the ids of the customer's invoices that are not issued, newest first."""
    statement = (
        select(Invoice.id)
        .where(Invoice.customer_id == customer_id, Invoice.state.in_(states.ISSUE.valid))
        .order_by(Invoice.year.desc(), Invoice.month.desc())
    )
    return (await connection.execute(statement)).scalars().all()


class LockedInvoice(NamedTuple):
    """An invoice, locked until the transaction ends."""

    id: int
    customer_id: int
    uuid: UUID
    state: str
    year: int
    month: int
    tax_percent: Decimal


async def find_customers(connection: AsyncConnection, invoice_ids: Sequence[int]) -> dict[int, int]:
    """Return the ids of the customers of those invoices that exist, by the ids of the invoices."""
    statement = select(Invoice.id, Invoice.customer_id).where(equals_any(Invoice.id, invoice_ids))
    return {row.id: row.customer_id for row in await connection.execute(statement)}


async def lock_invoices(
    connection: AsyncConnection, invoice_ids: Collection[int]
) -> dict[int, LockedInvoice]:
    """Lock those invoices that exist, in the order of their ids, and return them by id."""
    columns = (Invoice.__table__.c[name] for name in LockedInvoice._fields)
    statement = (
        select(*columns)
        .where(equals_any(Invoice.id, invoice_ids))
        .order_by(Invoice.id)
        .with_for_update()
    )
    return {row.id: LockedInvoice(*row) for row in await connection.execute(statement)}


async def find_charges(
    connection: AsyncConnection, offerings: Mapping[int, Collection[int]]
) -> dict[int, list[Charge]]:
    """Return the items of invoices that a credit may pay, less the reductions of each.

    `offerings` has the offerings whose items are meant by the ids of the invoices; none means all
    items. Discounts and compensations by hand are reductions. Reductions and items that cost
    nothing are none.
    """
    statement = (
        select(
            InvoiceItem.invoice_id,
            InvoiceItem.uuid,
            _project_id.label("project_id"),
            InvoiceItem.price,
            InvoiceItem.credit,
            func.coalesce(Resource.offering_id, InvoiceItem.offering_id).label("offering_id"),
            func.replace(
                func.coalesce(*(InvoiceItem.details[key].astext for key in _REDUCED_ITEMS)), "-", ""
            ).label("reduced"),
        )
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .where(
            equals_any(InvoiceItem.invoice_id, offerings), InvoiceItem.customer_credit_id.is_(None)
        )
        .order_by(InvoiceItem.id)
    )
    rows = (await connection.execute(statement)).all()
    reductions: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for row in rows:
        if row.reduced is not None and row.price < 0:
            reductions[row.invoice_id, row.reduced] += row.price
    charges: dict[int, list[Charge]] = {invoice_id: [] for invoice_id in offerings}
    for row in rows:
        paid = offerings[row.invoice_id]
        if row.credit or row.price <= 0 or (paid and row.offering_id not in paid):
            continue
        price = row.price + reductions[row.invoice_id, row.uuid.hex]
        if price > 0:
            charges[row.invoice_id].append(Charge(row.uuid, row.project_id, price))
    return charges


async def find_compensations(
    connection: AsyncConnection, credits: Mapping[int, int]
) -> dict[int, Counter[tuple[str | None, Decimal]]]:
    """Return the compensations by a credit: the paid item's UUID in hex, and the amount.

    `credits` has the id of the customer's credit by that of the invoice.
    """
    statement = select(
        InvoiceItem.invoice_id, InvoiceItem.details[PAID_ITEM].astext, -InvoiceItem.price
    ).where(_is_compensation_by(credits))
    found: dict[int, Counter[tuple[str | None, Decimal]]] = {each: Counter() for each in credits}
    for invoice_id, paid_item, amount in await connection.execute(statement):
        found[invoice_id][paid_item, amount] += 1
    return found


@dataclass(frozen=True, slots=True)
class NewCompensation:
    """A compensation that is to be added to an invoice."""

    invoice_id: int
    customer_credit_id: int
    paid: Compensation


async def insert_compensations(
    connection: AsyncConnection, compensations: Sequence[NewCompensation]
) -> None:
    """Add an item with a negative price for each compensation, in their order.

    It shows the project, the resource, the time and the details of the item that it pays.
    """
    if not compensations:
        return
    given = (
        func.unnest(
            literal([each.invoice_id for each in compensations], ARRAY(BigInteger)),
            literal([each.customer_credit_id for each in compensations], ARRAY(BigInteger)),
            literal([each.paid.item for each in compensations], ARRAY(Uuid)),
            literal([each.paid.amount for each in compensations], ARRAY(Numeric)),
        )
        .table_valued("invoice_id", "customer_credit_id", "item", "amount", with_ordinality="place")
        .render_derived()
    )
    hexadecimal = func.replace(cast(InvoiceItem.uuid, Text), "-", "")
    link = func.jsonb_build_object(
        literal(IS_COMPENSATION, Text), true(), literal(PAID_ITEM, Text), hexadecimal
    )
    columns: dict[str, Any] = {
        "uuid": func.gen_random_uuid(),
        "invoice_id": InvoiceItem.invoice_id,
        "name": literal(NAME_PREFIX, Text) + InvoiceItem.name,
        "unit_price": -given.c.amount,
        "quantity": literal(1, Numeric),
        "unit": literal(BillingUnit.QUANTITY.value, Text),
        "measured_unit": literal("", Text),
        "article_code": literal("", Text),
        "start": InvoiceItem.start,
        "end": InvoiceItem.end,
        "project_id": _project_id,
        "project_name": func.coalesce(func.nullif(InvoiceItem.project_name, ""), Project.name, ""),
        "project_uuid": func.coalesce(InvoiceItem.project_uuid, Project.uuid),
        "resource_id": InvoiceItem.resource_id,
        "offering_id": InvoiceItem.offering_id,
        "details": InvoiceItem.details.op("||")(link),
        "credit": true(),
        "customer_credit_id": given.c.customer_credit_id,
    }
    rows = (
        select(*columns.values())
        .select_from(given)
        .join(
            InvoiceItem,
            and_(InvoiceItem.uuid == given.c.item, InvoiceItem.invoice_id == given.c.invoice_id),
        )
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .outerjoin(Project, Project.id == _project_id)
        .order_by(given.c.place)
    )
    await connection.execute(insert(InvoiceItem).from_select(list(columns), rows))


async def delete_compensations(connection: AsyncConnection, credits: Mapping[int, int]) -> None:
    """Delete the items by which a credit paid others; `credits` is as in `find_compensations`."""
    if credits:
        await connection.execute(delete(InvoiceItem).where(_is_compensation_by(credits)))


def _is_compensation_by(credits: Mapping[int, int]) -> ColumnElement[bool]:
    given = (
        func.unnest(
            literal(list(credits), ARRAY(BigInteger)),
            literal(list(credits.values()), ARRAY(BigInteger)),
        )
        .table_valued("invoice_id", "customer_credit_id")
        .render_derived()
    )
    return tuple_(InvoiceItem.invoice_id, InvoiceItem.customer_credit_id).in_(select(*given.c))


async def unlink_credit(connection: AsyncConnection, customer_credit_id: int) -> None:
    """Let compensations by a credit name no credit; they remain compensations."""
    await connection.execute(
        update(InvoiceItem)
        .where(InvoiceItem.customer_credit_id == customer_credit_id)
        .values(customer_credit_id=None)
    )


async def find_customers_with_ended_credits(connection: AsyncConnection) -> Sequence[int]:
    """Return the ids of all customers with a balance that is to become zero, in order."""
    ended = _ended_credits().subquery()
    statement = select(ended.c.customer_id).distinct().order_by(ended.c.customer_id)
    return (await connection.execute(statement)).scalars().all()


async def find_ended_credits(
    connection: AsyncConnection, customer_ids: Collection[int]
) -> frozenset[UUID]:
    """Return the UUIDs of the customers' credits whose balances are to become zero."""
    ended = _ended_credits().subquery()
    statement = select(ended.c.uuid).where(equals_any(ended.c.customer_id, customer_ids))
    return frozenset((await connection.execute(statement)).scalars())


def _ended_credits() -> CompoundSelect[Any]:
    """Select the customer's id and the UUID of credits that have ended and have a balance.

    Those of a customer without a credit of its own are left out, since nothing uses them.
    """
    today = clock.today()
    of_customers = select(CustomerCredit.customer_id, CustomerCredit.uuid).where(
        CustomerCredit.value > 0,
        CustomerCredit.end_date <= today,
        ~_is_awaited(CustomerCredit.customer_id, CustomerCredit.end_date),
    )
    of_projects = (
        select(Project.customer_id, ProjectCredit.uuid)
        .join(Project, Project.id == ProjectCredit.project_id)
        .join(CustomerCredit, CustomerCredit.customer_id == Project.customer_id)
        .where(ProjectCredit.value > 0)
    )
    # Two selects: one with OR would look for awaited months of credits without an end.
    return union_all(
        of_customers,
        of_projects.where(
            ProjectCredit.end_date <= today,
            ~_is_awaited(Project.customer_id, ProjectCredit.end_date),
        ),
        of_projects.where(Project.is_removed, ~_has_unissued_items()),
    )


def _is_awaited(customer_id: Any, end_date: Any) -> ColumnElement[bool]:
    """Return the condition that a month before the end of a credit is still to be invoiced."""
    return exists().where(
        Invoice.customer_id == customer_id,
        Invoice.state.in_(states.ISSUE.valid),
        Invoice.source.is_(None),
        func.make_date(Invoice.year, Invoice.month, 1) < end_date,
    )


def _has_unissued_items() -> ColumnElement[bool]:
    """Return the condition that the project has items on an invoice that is not issued."""
    return (
        select(InvoiceItem.id)
        .join(Invoice, Invoice.id == InvoiceItem.invoice_id)
        .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
        .where(
            Invoice.customer_id == Project.customer_id,
            Invoice.state.in_(states.ISSUE.valid),
            _project_id == Project.id,
        )
        .correlate(Project)
        .exists()
    )
