"""The list of financial reports: a row for each customer, with the cost of one month."""

from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    ColumnElement,
    ColumnExpressionArgument,
    DateTime,
    Numeric,
    ScalarSelect,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    cast,
    collate,
    exists,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import BillingUnit, CustomerRoleName
from app.catalogue.models import Resource
from app.customers.models import Customer, CustomerOrganizationGroup, OrganizationGroup
from app.database.filter_set import FilterSet, contains_text, equals
from app.database.lists import Join, PageQuery, Row, RowList, RowPage, RowQuery
from app.database.row_counts import row_count_of
from app.identity.access import (
    Scope,
    customers_of_viewer,
    viewer_parameters,
    visibility_of,
    visible_customers,
)
from app.identity.caller import Caller
from app.identity.models import CustomerRole
from app.identity.visible_rows import VisibleRows
from app.invoices.filter_set import accounting_condition
from app.invoices.models import Invoice, InvoiceItem
from app.invoices.queries.items import offerings_of
from app.invoices.repository.item_sources import offering_id
from app.payments.models import PaymentProfile

_CREATES_PROJECTS: Final = (CustomerRoleName.OWNER,)
"""The roles that create projects on the platform."""

_provider = bindparam("provider", type_=Uuid)
_until = bindparam("until", type_=DateTime(timezone=True))
_owned = customers_of_viewer(CustomerRole.role == CustomerRoleName.OWNER)


def _is_one_of(names: ColumnElement[Any]) -> ColumnElement[bool]:
    return Customer.id.in_(customers_of_viewer(CustomerRole.role == any_(names)))


def _begun(unit: BillingUnit) -> ColumnElement[Any]:
    """Return the share of an hourly or daily item's units that have begun, from 0 to 1."""
    end = func.least(InvoiceItem.end, _until)
    return func.greatest(_count(unit, end), 0) / func.greatest(_count(unit, InvoiceItem.end), 1)


def _count(unit: BillingUnit, end: Any) -> ColumnElement[Any]:
    """Return the number of units from the item's start to a time, as `app.billing.proration`."""
    if unit is BillingUnit.DAY:
        days = func.date(func.timezone("UTC", end)) - func.date(
            func.timezone("UTC", InvoiceItem.start)
        )
        return cast(days + 1, Numeric)
    seconds = func.extract("epoch", end - InvoiceItem.start)
    return func.ceil(cast(seconds, Numeric) / 3600)


_price_by_now: Final = case(
    (InvoiceItem.unit == BillingUnit.HOUR, InvoiceItem.price * _begun(BillingUnit.HOUR)),
    (InvoiceItem.unit == BillingUnit.DAY, InvoiceItem.price * _begun(BillingUnit.DAY)),
    else_=InvoiceItem.price,
)


def _sum(price: Any, of_provider: bool) -> ScalarSelect[Any]:
    """Return the sum over the items of the joined invoice; zero without any."""
    statement = select(func.coalesce(func.sum(price), 0)).where(
        InvoiceItem.invoice_id == Invoice.id
    )
    if of_provider:
        statement = statement.outerjoin(Resource, Resource.id == InvoiceItem.resource_id).where(
            offering_id.in_(offerings_of(_provider))
        )
    return statement.correlate(Invoice).scalar_subquery()


def _profiles(*conditions: ColumnExpressionArgument[bool]) -> ScalarSelect[Any]:
    """Return the payment profiles of the customer as a JSON array, by name."""
    profile = func.json_build_object(
        "uuid", PaymentProfile.uuid,
        "name", PaymentProfile.name,
        "attributes", PaymentProfile.attributes,
        "payment_type", PaymentProfile.payment_type,
        "is_active", func.nullif(PaymentProfile.is_active, False),
    )  # fmt: skip
    order = (collate(PaymentProfile.name, "C"), PaymentProfile.id)
    profiles = func.json_agg(aggregate_order_by(profile, *order))
    return (
        select(func.coalesce(profiles, literal_column("'[]'::json")))
        .where(PaymentProfile.customer_id == Customer.id, *conditions)
        .correlate(Customer)
        .scalar_subquery()
    )


def _in_group(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    membership = CustomerOrganizationGroup
    return exists().where(
        membership.customer_id == Customer.id,
        membership.organization_group_id == OrganizationGroup.id,
        condition,
    )


def _text(column: Any) -> ColumnElement[Any]:
    """Return the order by a text, of which an empty one is no value."""
    return func.nullif(collate(column, "C"), "")


def _visibility_of(caller: Caller, now: datetime) -> tuple[Scope, dict[str, Any]]:
    scope, parameters = visibility_of(caller, now)
    is_staff = {"viewer_is_staff": caller.is_staff}
    return scope, parameters | viewer_parameters(caller, now) | is_staff


def _known_count(scope: Scope, names: tuple[str, ...]) -> ScalarSelect[int] | None:
    """Return the number of all customers, or of those whose accounting runs.

    Few customers wait for their accounting to start.
    """
    if scope is not Scope.EVERYTHING or names not in ((), ("accounting_is_running",)):
        return None
    count = select(row_count_of(Customer))
    if names:
        waiting = select(func.count()).select_from(Customer).where(accounting_condition(False))
        count = select(row_count_of(Customer) - waiting.scalar_subquery())
    return count.scalar_subquery()


_FOUND_BY: Final = (
    Customer.name,
    Customer.native_name,
    Customer.abbreviation,
    Customer.registration_code,
    Customer.agreement_number,
)
"""The columns that the filter `query` searches."""

_CONDITIONS: Final[dict[str, ColumnElement[bool]]] = {
    "abbreviation": contains_text([Customer.abbreviation], "abbreviation"),
    "accounting_is_running": accounting_condition(True),
    "accounting_is_waiting": accounting_condition(False),
    "agreement_number": equals(Customer.agreement_number, "agreement_number"),
    "archived": equals(Customer.archived, "archived"),
    "backend_id": equals(Customer.backend_id, "backend_id"),
    "contact_details": contains_text([Customer.contact_details], "contact_details"),
    "current_user_has_project_create_permission": or_(
        bindparam("viewer_is_staff", type_=Boolean),
        Customer.id.in_(customers_of_viewer(CustomerRole.role.in_(_CREATES_PROJECTS))),
    ),
    "current_user_has_role": _is_one_of(bindparam("current_user_has_role", type_=ARRAY(Text))),
    "customer_uuid": equals(Customer.uuid, "customer_uuid"),
    "name": contains_text([Customer.name], "name"),
    "name_exact": equals(Customer.name, "name_exact"),
    "native_name": contains_text([Customer.native_name], "native_name"),
    "organization_group_name": _in_group(
        contains_text([OrganizationGroup.name], "organization_group_name")
    ),
    "organization_group_uuid": _in_group(
        OrganizationGroup.uuid == any_(bindparam("organization_group_uuid", type_=ARRAY(Uuid)))
    ),
    "owned_by_current_user": Customer.id.in_(_owned),
    "query": or_(
        contains_text(_FOUND_BY, "query"),
        Customer.uuid == bindparam("query_uuid", type_=Uuid),
    ),
    "registration_code": equals(Customer.registration_code, "registration_code"),
    "slug": equals(Customer.slug, "slug"),
}
_ORDERS: Final[dict[str, Any]] = {
    "id": Customer.id,
    "name": collate(Customer.name, "C"),
    "abbreviation": _text(Customer.abbreviation),
    "created": Customer.created_at,
    "accounting_start_date": Customer.accounting_start_date,
    "registration_code": _text(Customer.registration_code),
    "agreement_number": _text(Customer.agreement_number),
    "estimated_cost": Invoice.total_price,
    "total_cost": Invoice.total_cost,
}
_COLUMNS: Final[dict[str, Any]] = {
    "name": Customer.name,
    "uuid": Customer.uuid,
    "abbreviation": Customer.abbreviation,
    "created": Customer.created_at,
    "accounting_start_date": Customer.accounting_start_date,
    "registration_code": Customer.registration_code,
    "agreement_number": Customer.agreement_number,
}
_OF_MONTH: Final = Join(
    Invoice,
    and_(
        Invoice.customer_id == Customer.id,
        Invoice.year == bindparam("year"),
        Invoice.month == bindparam("month"),
    ),
    optional=True,
)


@lru_cache
def _reports(sees_all_profiles: bool, of_provider: bool) -> VisibleRows:
    """Return the list for callers who see all payment profiles or only those of own customers."""
    shown = () if sees_all_profiles else (PaymentProfile.is_active, Customer.id.in_(_owned))
    total = _sum(InvoiceItem.price, of_provider) if of_provider else Invoice.total_price
    return VisibleRows(
        RowList(
            table=Customer,
            uuid=Customer.uuid,
            columns=_COLUMNS
            | {
                "payment_profiles": type_coerce(_profiles(*shown), JSON),
                "billing_price_estimate": (
                    total.label("total"),
                    _sum(_price_by_now, of_provider).label("current"),
                    Invoice.tax_percent,
                ),
            },
            joins=(_OF_MONTH,),
            conditions=_CONDITIONS,
            orders=_ORDERS,
            default_order=("name", "id"),
            visible=lambda scope: visible_customers(Customer.id, scope),
            known_count=_known_count,
        ),
        _visibility_of,
    )


class FinancialReports:
    """The list, as each caller sees it, by name.

    The values of filters include `year`, `month` and `until`, the time of `current`. `provider`,
    a UUID or None, narrows the cost and not the customers.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields of a row."""
        return (*_COLUMNS, "payment_profiles", "billing_price_estimate")

    async def read_page(
        self, connection: AsyncConnection, caller: Caller, query: PageQuery
    ) -> RowPage:
        """Return a page of the customers that the caller may see."""
        return await _reports_for(caller, query.filters).read_page(connection, caller, query)

    async def read_one(
        self, connection: AsyncConnection, caller: Caller, query: RowQuery
    ) -> Row | None:
        """Return one customer; None if it does not exist or is not visible."""
        return await _reports_for(caller, query.filters).read_one(connection, caller, query)


def _reports_for(caller: Caller, filters: FilterSet) -> VisibleRows:
    is_global = caller.is_staff or caller.is_support
    return _reports(is_global, filters.values["provider"] is not None)
