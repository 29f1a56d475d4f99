"""The list of project credits."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, cast, collate, exists, func, or_, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.catalogue.models import Resource
from app.credits.models import (
    CustomerCredit,
    CustomerCreditOffering,
    ProjectCredit,
    billed_invoice,
    billed_item,
)
from app.credits.queries.customer_credits import (
    ALLOCATED,
    OFFERINGS,
    PAID,
    customer_conditions,
    names_of,
)
from app.credits.queries.months import IS_CHARGED, is_of_month, visibility_with_months
from app.customers.models import Customer, Project
from app.database.filter_set import contains_text, equals
from app.database.lists import Join, PageQuery, Row, RowList, RowPage, RowQuery, read_one, read_page
from app.identity.access import Scope, visible_customers, visible_customers_or_projects
from app.identity.caller import Caller

_of_invoice = billed_item.c.invoice_id == billed_invoice.c.id
_of_project = billed_item.c.project_id == ProjectCredit.project_id
_offering_id = func.coalesce(
    select(Resource.offering_id)
    .where(Resource.id == billed_item.c.resource_id)
    .correlate(billed_item)
    .scalar_subquery(),
    billed_item.c.offering_id,
)
_offerings = exists().where(CustomerCreditOffering.customer_credit_id == CustomerCredit.id)
_is_paid = or_(~_offerings, _offerings.where(CustomerCreditOffering.offering_id == _offering_id))


def _sum_of_month(month: str, amount: Any, *conditions: ColumnElement[bool]) -> Any:
    """Return a sum over the project's items of a month; null without an invoice of the month."""
    return (
        select(func.coalesce(func.sum(amount), 0))
        .select_from(billed_invoice)
        .outerjoin(billed_item, and_(_of_invoice, IS_CHARGED, _of_project, *conditions))
        .where(billed_invoice.c.customer_id == Project.customer_id, is_of_month(month))
        .group_by(billed_invoice.c.id)
        .correlate(ProjectCredit, Project, CustomerCredit)
        .scalar_subquery()
    )


def _list(scope: Scope) -> RowList[Scope]:
    """Return the list for a scope: project roles do not see the figures of the organization."""
    sees = visible_customers(Project.customer_id, scope)
    return RowList(
        table=ProjectCredit,
        uuid=ProjectCredit.uuid,
        columns={
            "uuid": ProjectCredit.uuid,
            "url": ProjectCredit.uuid,
            "value": ProjectCredit.value,
            "project": Project.uuid,
            "project_name": Project.name,
            "project_uuid": Project.uuid,
            "project_slug": Project.slug,
            "customer_name": Customer.name,
            "customer_slug": Customer.slug,
            "customer_uuid": Customer.uuid,
            "customer_credit": case((sees, CustomerCredit.value)),
            "allocated_customer_credit": case((sees, ALLOCATED)),
            "consumption_last_month": _sum_of_month(
                "last",
                PAID,
                billed_item.c.customer_credit_id == CustomerCredit.id,
            ),
            "spendable_value": func.least(
                ProjectCredit.value, func.coalesce(CustomerCredit.value, 0)
            ),
            "is_limited_by_organization_credit": (
                func.coalesce(CustomerCredit.value, 0) < ProjectCredit.value
            ),
            "offerings": case((sees, OFFERINGS), else_=cast([], JSONB)),
            "end_date": ProjectCredit.end_date,
            "expected_consumption": ProjectCredit.expected_consumption,
            "minimal_consumption": ProjectCredit.expected_consumption,
            "minimal_consumption_logic": ProjectCredit.minimal_consumption_logic,
            "grace_coefficient": ProjectCredit.grace_coefficient,
            "apply_as_minimal_consumption": ProjectCredit.apply_as_minimal_consumption,
            "mark_unused_credit_as_spent_on_project_termination": (
                ProjectCredit.mark_unused_credit_as_spent_on_project_termination
            ),
            "creditable_cost_this_month": _sum_of_month(
                "this", billed_item.c.price, ~billed_item.c.credit, _is_paid
            ),
        },
        joins=(
            Join(Project, Project.id == ProjectCredit.project_id),
            Join(Customer, Customer.id == Project.customer_id),
            Join(CustomerCredit, CustomerCredit.customer_id == Project.customer_id, optional=True),
        ),
        conditions={
            **customer_conditions(),
            "project_name": contains_text((Project.name,), "project_name"),
            "project_uuid": equals(Project.uuid, "project_uuid"),
            "query": contains_text((*names_of(Project), *names_of(Customer)), "query"),
        },
        orders={
            "id": ProjectCredit.id,
            "project_name": collate(Project.name, "C"),
            "value": ProjectCredit.value,
            "end_date": ProjectCredit.end_date,
            "expected_consumption": ProjectCredit.expected_consumption,
        },
        default_order=("id",),
        visible=lambda scope: visible_customers_or_projects(
            Project.customer_id, ProjectCredit.project_id, scope
        ),
    )


_LISTS: Final = {scope: _list(scope) for scope in Scope}


@dataclass(frozen=True, slots=True)
class ProjectCredits:
    """The project credits, as each caller sees them, in the order of their creation."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields of a row."""
        return tuple(_LISTS[Scope.EVERYTHING].columns)

    async def read_page(
        self, connection: AsyncConnection, caller: Caller, query: PageQuery
    ) -> RowPage:
        """Return a page of the rows that the caller may see."""
        scope, values = visibility_with_months(caller, clock.now())
        return await read_page(connection, _LISTS[scope], (scope, values), query)

    async def read_one(
        self, connection: AsyncConnection, caller: Caller, query: RowQuery
    ) -> Row | None:
        """Return one row; None if it does not exist, is not visible, or a filter excludes it."""
        scope, values = visibility_with_months(caller, clock.now())
        return await read_one(connection, _LISTS[scope], (scope, values), query)
