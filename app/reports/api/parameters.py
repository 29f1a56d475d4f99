"""The query parameters of reports."""

from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field, PlainValidator, WithJsonSchema

from app import clock
from app.api.pagination import Paging
from app.api.query_parameters import (
    EMPTY_COUNTS,
    QueryBoolean,
    QueryParameters,
    QueryText,
    QueryUuid,
    invalid,
    orders,
)
from app.api.sparse_fields import array_of
from app.billing.enums import CustomerRoleName
from app.billing.periods import Period
from app.database.filter_set import FilterSet
from app.formats import NIL_UUID, parse_uuid

_ORDERS: Final = tuple(
    sign + name
    for name in (
        "abbreviation",
        "accounting_start_date",
        "agreement_number",
        "created",
        "estimated_cost",
        "name",
        "registration_code",
        "total_cost",
    )
    for sign in ("", "-")
)
_YEARS: Final = range(1, 10_000)
_MONTHS: Final = range(1, 13)
_NO_PERIOD: Final = Period(0, 0)
"""The period of no invoice."""
_SAME_NAME: Final = (
    "abbreviation",
    "agreement_number",
    "archived",
    "backend_id",
    "contact_details",
    "customer_uuid",
    "name",
    "name_exact",
    "native_name",
    "organization_group_name",
    "registration_code",
    "slug",
)
"""Parameters whose value is that of the condition with their name."""
_SET: Final = ("current_user_has_project_create_permission", "owned_by_current_user")
"""Parameters that are conditions of their own if they are true."""


def _whole_number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _uuids(texts: list[str]) -> tuple[UUID, ...]:
    uuids = tuple(parse_uuid(text.strip()) for text in texts)
    if None in uuids:
        raise invalid("Enter a valid UUID.")
    return tuple(filter(None, uuids))


def _roles(texts: list[str]) -> tuple[str, ...]:
    """Return the roles at a customer by their names on the platform, such as `CUSTOMER.OWNER`."""
    named = {f"CUSTOMER.{role.name}": role.value for role in CustomerRoleName}
    return tuple(named.get(text.strip(), "") for text in texts)


_Number = Annotated[int | None, PlainValidator(_whole_number), WithJsonSchema({"type": "integer"})]


class MonthParameters(QueryParameters):
    """The month of a report: the running one, unless both parameters are whole numbers."""

    month: _Number = Field(default=None, examples=[10])
    """The month, with `year`. Without either, the running month."""
    year: _Number = Field(default=None, examples=[2026])
    """The year, with `month`. Without either, the running month."""

    @property
    def period(self) -> Period:
        """The requested month; one that cannot exist has no invoices."""
        if self.year is None or self.month is None:
            return Period.containing(clock.today())
        exists = self.year in _YEARS and self.month in _MONTHS
        return Period(self.year, self.month) if exists else _NO_PERIOD


class AccountingParameters(QueryParameters):
    """The filters that the list of financial reports and the sums have in common."""

    accounting_is_running: QueryBoolean = Field(default=None, examples=[True])
    """Only customers whose accounting start date has passed (`true`), or has not (`false`)."""
    customer_uuid: QueryUuid = Field(
        default=None, examples=["a1b2c3d4-e5f6-7890-abcd-ef1234567890"]
    )
    """The customer with this UUID."""
    name: QueryText = Field(default=None, examples=["university"])
    """Customers whose name contains this text, ignoring case."""


class TotalCostParameters(AccountingParameters, MonthParameters):
    """The parameters of the sums of a month."""


class EstimateParameters(MonthParameters):
    """The parameters of one financial report."""

    provider_uuid: QueryUuid = None
    """Only the cost of this service provider's offerings, by its own UUID or its customer's."""


class FinancialReportParameters(AccountingParameters, EstimateParameters, Paging):
    """The parameters of the list of financial reports and of its count."""

    abbreviation: QueryText = None
    """Customers whose abbreviation contains this text, ignoring case."""
    agreement_number: QueryText = None
    """Customers with this agreement number."""
    archived: QueryBoolean = None
    """Only archived customers (`true`), or only others (`false`)."""
    backend_id: QueryText = None
    """Customers with this identifier in another system."""
    contact_details: QueryText = None
    """Customers whose contact details contain this text, ignoring case."""
    current_user_has_project_create_permission: QueryBoolean = None
    """If `true`, customers for which the caller may create projects: where the caller is an owner;
    for staff, all."""
    current_user_has_role: Annotated[
        tuple[str, ...],
        PlainValidator(_roles),
        WithJsonSchema(
            {"type": "array", "items": {"type": "string"}, "style": "form", "explode": True}
        ),
    ] = Field(default=(), examples=[["CUSTOMER.OWNER"]])
    """Customers where the caller has one of these roles."""
    name_exact: QueryText = None
    """The customer with this name."""
    native_name: QueryText = None
    """Customers whose native name contains this text, ignoring case."""
    o: Annotated[
        tuple[str, ...],
        orders(_ORDERS),
        array_of("FinancialReportOEnum", _ORDERS, style="form", explode=False),
    ] = Field(default=(), examples=[["-total_cost"]])
    """Ordering; `-` for descending. `estimated_cost` is without tax, `total_cost` with it, of all
    providers. Customers without a value come last. They are ordered by name by default."""
    organization_group_name: QueryText = None
    """Customers in a group whose name contains this text, ignoring case."""
    organization_group_uuid: Annotated[
        tuple[UUID, ...],
        PlainValidator(_uuids),
        EMPTY_COUNTS,
        WithJsonSchema(
            {
                "type": "array",
                "items": {"type": "string", "format": "uuid"},
                "style": "form",
                "explode": True,
            }
        ),
    ] = ()
    """Customers in one of these groups."""
    owned_by_current_user: QueryBoolean = None
    """If `true`, customers where the caller is an owner."""
    query: QueryText = Field(default=None, examples=["university"])
    """Customers whose name, native name, abbreviation, registration code or agreement number
    contains this text, ignoring case, or whose UUID it is."""
    registration_code: QueryText = None
    """Customers with this registration code."""
    slug: QueryText = None
    """The customer with this name in URLs."""


def estimate_values(parameters: EstimateParameters) -> FilterSet:
    """Return the values of the cost's month and provider; they exclude no customer."""
    period = parameters.period
    values = {
        "year": period.year,
        "month": period.month,
        "until": clock.now(),
        "provider": parameters.provider_uuid,
    }
    return FilterSet((), values)


def total_cost_filters(parameters: TotalCostParameters) -> FilterSet:
    """Return the conditions of the invoices that are summed up."""
    period = parameters.period
    values = {"year": period.year, "month": period.month, "now": clock.now()}
    names = [name for name in ("customer_uuid", "name") if getattr(parameters, name) is not None]
    values |= {name: getattr(parameters, name) for name in names}
    return FilterSet((*names, *accounting_names(parameters)), values)


def filter_set(parameters: FinancialReportParameters) -> FilterSet:
    """Return the conditions of the list of financial reports."""
    values: dict[str, Any] = estimate_values(parameters).values
    names = [name for name in _SET if getattr(parameters, name)]
    for name in _SAME_NAME:
        if (value := getattr(parameters, name)) is not None:
            names.append(name)
            values[name] = value
    for name in ("current_user_has_role", "organization_group_uuid"):
        if several := getattr(parameters, name):
            names.append(name)
            values[name] = list(several)
    if parameters.query is not None:
        names.append("query")
        values["query"] = parameters.query
        values["query_uuid"] = parse_uuid(parameters.query.strip()) or NIL_UUID
    names += accounting_names(parameters)
    # To the minute, so that the statement, which has it as a literal, is cached.
    values["now"] = values["until"].replace(second=0, microsecond=0)
    return FilterSet(tuple(names), values)


def accounting_names(parameters: AccountingParameters) -> list[str]:
    """Return the name of the condition on the start of accounting, if one is requested."""
    if parameters.accounting_is_running is None:
        return []
    return [
        "accounting_is_running" if parameters.accounting_is_running else "accounting_is_waiting"
    ]
