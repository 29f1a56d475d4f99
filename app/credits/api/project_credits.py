"""Reads of project credits: list, count, retrieve."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import Field

from app.api.collections import Collection, add_list, add_retrieve, select_fields
from app.api.query_parameters import QueryText, QueryUuid, orders
from app.api.response_format import ResponseFormat
from app.api.sparse_fields import array_of
from app.credits.api.customer_credits import CustomerCreditParameters
from app.credits.api.terms import computed_terms, with_links
from app.credits.queries.project_credits import ProjectCredits
from app.credits.schemas import ProjectCredit
from app.database.lists import Row
from app.identity.api.authentication import require_user

router = APIRouter(prefix="/api/project-credits", tags=["project-credits"])

_NAMES: Final = ("end_date", "expected_consumption", "project_name", "value")
_ORDERS: Final = (*_NAMES, *(f"-{name}" for name in _NAMES))


class ProjectCreditParameters(CustomerCreditParameters):
    """The parameters of the list of project credits and of its count."""

    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("ProjectCreditOEnum", _ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-value"]])
    """Ordering; `-` for descending. Credits without a value come last."""
    project_name: QueryText = Field(default=None, examples=["Research"])
    """Credits of projects whose name contains this text, in any case."""
    project_uuid: QueryUuid = Field(default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"])
    """The credit of the project with this UUID."""
    query: QueryText = Field(default=None, examples=["example"])
    """Credits whose project or organization has this text in its name, slug or UUID."""


def _record(row: Row, fields: tuple[str, ...], response_format: ResponseFormat) -> dict[str, Any]:
    record = select_fields(row, fields, response_format)
    return record | {
        "offerings": with_links(row["offerings"]),
        **computed_terms(row),
    }


collection: Final = Collection(
    name="project-credits",
    schema=ProjectCredit,
    rows=ProjectCredits(),
    require=require_user,
    record=_record,
)
add_list(router, collection, ProjectCreditParameters, summary="List project credits")
add_retrieve(router, collection, summary="Retrieve project credit")
