"""Financial reports: list, count, retrieve."""

from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from app.api.collections import Collection, RecordUuid, add_list, select_fields
from app.api.operation_docs import document_read
from app.api.query_parameters import QueryParser
from app.api.response_format import ResponseFormat
from app.billing import money
from app.database.lists import Row
from app.identity.api.authentication import Authenticated, require_user
from app.payments.api.profiles import profile_record
from app.reports.api.parameters import (
    EstimateParameters,
    FinancialReportParameters,
    estimate_values,
    filter_set,
)
from app.reports.queries.financial_reports import FinancialReports
from app.reports.schemas import FinancialReport

router = APIRouter(prefix="/api/financial-reports", tags=["financial-reports"])

_ZERO: Final = Decimal(0)
_ESTIMATE: Final = "billing_price_estimate"
_PROFILES: Final = "payment_profiles"


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    plain = tuple(name for name in fields if name not in (_ESTIMATE, _PROFILES))
    return select_fields(row, plain, response_format) | {
        _PROFILES: [_profile(profile, row["uuid"]) for profile in row[_PROFILES]],
        _ESTIMATE: _estimate(row),
    }


def _profile(profile: dict[str, Any], customer: UUID) -> dict[str, Any]:
    uuid = UUID(profile["uuid"])
    linked = {"uuid": uuid, "url": uuid, "organization_uuid": customer, "organization": customer}
    return profile_record(profile | linked)


def _estimate(row: Row) -> dict[str, Decimal]:
    """Return the cost; a customer without an invoice of the month costs nothing."""
    total, current = row["total"] or _ZERO, row["current"] or _ZERO
    percent = row["tax_percent"] or _ZERO
    return {
        "total": total,
        "current": current,
        "tax": money.tax_on(total, percent),
        "tax_current": money.tax_on(current, percent),
    }


collection: Final = Collection(
    name="financial-reports",
    schema=FinancialReport,
    rows=FinancialReports(),
    require=require_user,
    filter_set=filter_set,
    record=_record,
)
add_list(router, collection, FinancialReportParameters, summary="List financial reports")


@router.get(
    "/{uuid}/",
    operation_id="financial_reports_retrieve",
    summary="Retrieve financial report",
    response_model=FinancialReport,
    **document_read("The record."),
)
@router.head("/{uuid}/", include_in_schema=False)
async def retrieve_report(
    request: Request,
    uuid: RecordUuid,
    caller: Authenticated,
    parameters: Annotated[EstimateParameters, Depends(QueryParser(EstimateParameters))],
) -> Response:
    """Retrieve the financial report of the customer with this UUID."""
    return await collection.retrieve(request, caller, uuid, filters=estimate_values(parameters))
