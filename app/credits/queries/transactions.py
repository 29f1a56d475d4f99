"""The ledger of credits."""

from typing import Final

from sqlalchemy import ColumnElement, bindparam, or_, select, true

from app.credits.models import CreditTransaction
from app.customers.models import Customer, Project
from app.database.filter_set import equals
from app.database.lists import Join, RowList
from app.identity.access import Scope, visible_customers, visible_projects
from app.identity.visible_rows import VisibleRows


def _visible(scope: Scope) -> ColumnElement[bool]:
    """Return the condition of the movements of own organizations, and of own projects."""
    if scope is Scope.EVERYTHING:
        return true()
    customers = select(Customer.uuid).where(visible_customers(Customer.id, scope))
    projects = select(Project.uuid).where(visible_projects(Project.id, scope))
    return or_(
        CreditTransaction.customer_uuid.in_(customers),
        CreditTransaction.project_uuid.in_(projects),
    )


TRANSACTIONS: Final = VisibleRows(
    RowList(
        table=CreditTransaction,
        uuid=CreditTransaction.uuid,
        columns={
            "uuid": CreditTransaction.uuid,
            "created": CreditTransaction.created_at,
            "amount": CreditTransaction.amount,
            "transaction_type": CreditTransaction.transaction_type,
            "transaction_type_display": CreditTransaction.transaction_type,
            "comment": CreditTransaction.comment,
            "customer_uuid": CreditTransaction.customer_uuid,
            "customer_name": Customer.name,
            "project_uuid": CreditTransaction.project_uuid,
            "project_name": CreditTransaction.project_name,
            "billing_period": CreditTransaction.billing_period,
        },
        joins=(Join(Customer, Customer.uuid == CreditTransaction.customer_uuid, optional=True),),
        conditions={
            "billing_period": equals(CreditTransaction.billing_period, "billing_period"),
            "billing_period_after": CreditTransaction.billing_period
            >= bindparam("billing_period_after"),
            "billing_period_before": CreditTransaction.billing_period
            <= bindparam("billing_period_before"),
            "credit_uuid": equals(CreditTransaction.customer_credit_uuid, "credit_uuid"),
            "customer_uuid": equals(CreditTransaction.customer_uuid, "customer_uuid"),
            "project_credit_uuid": equals(
                CreditTransaction.project_credit_uuid, "project_credit_uuid"
            ),
            "project_uuid": equals(CreditTransaction.project_uuid, "project_uuid"),
            "transaction_type": equals(CreditTransaction.transaction_type, "transaction_type"),
        },
        orders={
            "id": CreditTransaction.id,
            "created": CreditTransaction.created_at,
            "billing_period": CreditTransaction.billing_period,
        },
        default_order=("-id",),
        visible=_visible,
    )
)
"""Newest first."""
