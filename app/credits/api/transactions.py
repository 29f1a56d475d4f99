"""Reads of the ledger of credits: list, count, retrieve."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from app.api.collections import Collection, add_list, add_retrieve, select_fields
from app.api.pagination import Paging
from app.api.query_parameters import QueryDate, QueryText, QueryUuid, QueryUuidText, orders
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.credits.queries.transactions import TRANSACTIONS
from app.credits.schemas import CreditTransaction, TransactionTypeEnum
from app.database.lists import Row
from app.identity.api.authentication import require_user

router = APIRouter(prefix="/api/credit-transactions", tags=["credit-transactions"])

_ORDERS: Final = ("billing_period", "created", "-billing_period", "-created")
_UUID: Final = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"


class CreditTransactionParameters(Paging):
    """The parameters of the list of movements and of its count."""

    billing_period: QueryDate = Field(default=None, examples=["2026-10-01"])
    """Movements that are about the month with this first day."""
    billing_period_after: QueryDate = Field(default=None, examples=["2026-01-01"])
    """Movements that are about a month with this first day, or a later one."""
    billing_period_before: QueryDate = Field(default=None, examples=["2026-12-01"])
    """Movements that are about a month with this first day, or an earlier one."""
    credit_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Movements of the customer credit with this UUID."""
    customer_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Movements of the organization with this UUID, and of its projects."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("CreditTransactionOEnum", _ORDERS, style="form", explode=True),
    ] = Field(default=(), examples=[["-created"]])
    """Ordering; `-` for descending. The newest movements come first by default."""
    project_credit_uuid: QueryUuid = Field(default=None, examples=[_UUID])
    """Movements of the project credit with this UUID."""
    project_uuid: QueryUuidText = Field(default=None, examples=[_UUID])
    """Movements of the project with this UUID."""
    transaction_type: QueryText = Field(default=None, examples=["compensation"])
    """Movements of this type."""


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    record = select_fields(row, fields, response_format)
    project = row["project_uuid"]
    return record | {
        "transaction_type": TransactionTypeEnum(row["transaction_type"]),
        "transaction_type_display": row["transaction_type"].replace("_", " ").capitalize(),
        "project_uuid": project.hex if project else "",
    }


collection: Final = Collection(
    name="credit-transactions",
    schema=CreditTransaction,
    rows=TRANSACTIONS,
    require=require_user,
    record=_record,
)
add_list(router, collection, CreditTransactionParameters, summary="List movements of credits")
add_retrieve(router, collection, summary="Retrieve movement of a credit")
