"""The lists of items across invoices: as customers and projects see them, and as sellers do."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    extract,
    func,
    literal,
    or_,
    select,
    true,
)

from app.billing.enums import CustomerRoleName
from app.catalogue.models import Offering, OfferingComponent, PlanComponent, Resource
from app.credits.models import CustomerCredit
from app.customers.models import Customer, Project
from app.database.filter_set import equals
from app.database.lists import Join, RowList
from app.formats import NIL_UUID
from app.identity.access import Scope, visibility_of, visible_customers, visible_projects
from app.identity.caller import Caller
from app.identity.visible_rows import VisibleRows, count_of_all
from app.invoices.models import Invoice, InvoiceDocument, InvoiceItem
from app.invoices.repository.item_sources import (
    FROZEN_LINE,
    is_present_document,
    offering_id,
    project_name,
)

_SELLERS: Final = (CustomerRoleName.OWNER, CustomerRoleName.MANAGER)
"""The roles at a customer that see what it has sold."""


def visible_items(scope: Scope) -> ColumnElement[bool]:
    """Return the condition of items that customers and projects see.

    Those are the items of visible invoices, and the items of the caller's projects whose customer
    displays its billing there.
    """
    if scope is Scope.EVERYTHING:
        return true()
    invoices = select(Invoice.id).where(visible_customers(Invoice.customer_id, scope))
    return or_(
        InvoiceItem.invoice_id == _any_of(invoices),
        visible_projects(InvoiceItem.project_id, scope, with_billing=True),
    )


def sold_items(scope: Scope) -> ColumnElement[bool]:
    """Return the condition of items of offerings that the caller's customers sell."""
    if scope is Scope.EVERYTHING:
        return true()
    offerings = select(Offering.id).where(visible_customers(Offering.customer_id, scope, _SELLERS))
    return _of_offerings(offerings)


def item_of_project(project: str) -> ColumnElement[bool]:
    """Return the condition that an item is of the project whose UUID is this parameter."""
    return InvoiceItem.project_id == (
        select(Project.id).where(Project.uuid == bindparam(project)).scalar_subquery()
    )


def item_of_resource(resource: str) -> ColumnElement[bool]:
    """Return the condition that an item is of the resource whose UUID is this parameter."""
    return InvoiceItem.resource_id == (
        select(Resource.id).where(Resource.uuid == bindparam(resource)).scalar_subquery()
    )


def _any_of(keys: Any) -> Any:
    # An array, so that an index of the column can be combined with that of another condition.
    return any_(func.array(keys.scalar_subquery()))


def _of_offerings(offerings: Any) -> ColumnElement[bool]:
    """Return the condition that the offering that an item counts for is one of a select."""
    resources = select(Resource.id).where(Resource.offering_id.in_(offerings))
    without_resource = InvoiceItem.resource_id.is_(None)
    return or_(
        InvoiceItem.resource_id == _any_of(resources),
        and_(without_resource, InvoiceItem.offering_id == _any_of(offerings)),
    )


def _visibility_of_sales(caller: Caller, now: datetime) -> tuple[Scope, dict[str, Any]]:
    """Return the scope of a seller. Support sees what it sells itself, as any other user."""
    return visibility_of(replace(caller, is_support=False), now)


def _starts_in(part: str) -> ColumnElement[bool]:
    start = extract(part, func.timezone("UTC", InvoiceItem.start))
    condition: ColumnElement[bool] = start == bindparam(f"start_{part}", type_=Integer())
    return condition


_with_offering: Final = select(Offering.id).where(Offering.uuid == bindparam("offering_uuid"))
_of_customer: Final = (
    select(Project.id)
    .join(Customer, Customer.id == Project.customer_id)
    .where(Customer.uuid == bindparam("customer_uuid"))
)
_with_credit: Final = select(CustomerCredit.id).where(
    CustomerCredit.uuid == bindparam("credit_uuid")
)

ITEM_CONDITIONS: Final[dict[str, ColumnElement[bool]]] = {
    "credit_uuid": InvoiceItem.customer_credit_id == _with_credit.scalar_subquery(),
    # The customer of the project: an item without a project is of no customer.
    "customer_uuid": InvoiceItem.project_id.in_(_of_customer),
    "month": equals(Invoice.month, "month"),
    "offering_uuid": _of_offerings(_with_offering),
    "project_uuid": item_of_project("project_uuid"),
    "resource_uuid": item_of_resource("resource_uuid"),
    "start_month": _starts_in("month"),
    "start_year": _starts_in("year"),
    "year": equals(Invoice.year, "year"),
}
"""The conditions of filters, on items joined with their invoices."""

_OF_INVOICE: Final = Join(Invoice, Invoice.id == InvoiceItem.invoice_id)
_OF_PROJECT: Final = Join(Project, Project.id == InvoiceItem.project_id, optional=True)
_OF_CUSTOMER: Final = Join(Customer, Customer.id == Invoice.customer_id)
_OF_RESOURCE: Final = Join(Resource, Resource.id == InvoiceItem.resource_id, optional=True)
_OF_OFFERING: Final = Join(Offering, Offering.id == offering_id, optional=True)
_OF_COMPONENT: Final = (
    Join(PlanComponent, PlanComponent.id == InvoiceItem.plan_component_id, optional=True),
    Join(OfferingComponent, OfferingComponent.id == PlanComponent.component_id, optional=True),
)
_OF_DOCUMENT: Final = Join(InvoiceDocument, is_present_document, optional=True)
_OF_LINE: Final = Join(FROZEN_LINE, FROZEN_LINE.c.invoice_id == Invoice.id, optional=True)


def _at_issue(name: str, today: Any) -> ColumnElement[Any]:
    """Return a column as it was frozen, or as it is today where the invoice has no document."""
    return case((FROZEN_LINE.c.uuid.is_not(None), FROZEN_LINE.c[name]), else_=today)


_PROJECT_UUID: Final = _at_issue(
    "project_uuid", func.coalesce(InvoiceItem.project_uuid, Project.uuid)
)
_PROJECT_NAME: Final = _at_issue("project_name", project_name)

INVOICE_ITEMS: Final = VisibleRows(
    RowList(
        table=InvoiceItem,
        uuid=InvoiceItem.uuid,
        columns={
            "invoice": Invoice.uuid,
            "resource": _at_issue("resource_uuid", Resource.uuid),
            "uuid": InvoiceItem.uuid,
            "article_code": InvoiceItem.article_code,
            "unit_price": InvoiceItem.unit_price,
            "unit": InvoiceItem.unit,
            "quantity": InvoiceItem.quantity,
            "measured_unit": InvoiceItem.measured_unit,
            "name": InvoiceItem.name,
            "start": InvoiceItem.start,
            "end": InvoiceItem.end,
            "price": InvoiceItem.price,
            "details": InvoiceItem.details,
            "offering_uuid": func.coalesce(
                _at_issue("offering_uuid", Offering.uuid), literal(NIL_UUID, Uuid)
            ),
            "offering_name": _at_issue("offering_name", Offering.name),
            "offering_component_type": _at_issue("component_type", OfferingComponent.type),
            "project_uuid": _PROJECT_UUID,
            "project_name": _PROJECT_NAME,
            "customer_uuid": Customer.uuid,
            "customer_name": func.coalesce(
                InvoiceDocument.content["buyer"]["name"].astext, Customer.name
            ),
        },
        joins=(
            _OF_INVOICE, _OF_CUSTOMER, _OF_PROJECT, _OF_RESOURCE, _OF_OFFERING, *_OF_COMPONENT,
            _OF_DOCUMENT, _OF_LINE,
        ),
        conditions=ITEM_CONDITIONS,
        orders={"start": InvoiceItem.start, "id": InvoiceItem.id},
        default_order=("start", "id"),
        visible=visible_items,
        known_count=count_of_all(InvoiceItem),
    )
)  # fmt: skip
"""The items of the invoices and projects that a caller may see, in the order of their start."""

PROVIDER_INVOICE_ITEMS: Final = VisibleRows(
    RowList(
        table=InvoiceItem,
        uuid=InvoiceItem.uuid,
        columns={
            "uuid": InvoiceItem.uuid,
            "name": InvoiceItem.name,
            "price": InvoiceItem.price,
            "tax_percent": Invoice.tax_percent,
            "unit_price": InvoiceItem.unit_price,
            "unit": InvoiceItem.unit,
            "measured_unit": InvoiceItem.measured_unit,
            "start": InvoiceItem.start,
            "end": InvoiceItem.end,
            "article_code": InvoiceItem.article_code,
            "project_name": _PROJECT_NAME,
            "project_uuid": _PROJECT_UUID,
            "quantity": InvoiceItem.quantity,
            "details": InvoiceItem.details,
            "backend_uuid": InvoiceItem.backend_uuid,
            "credit": InvoiceItem.credit,
            "resource_uuid": _at_issue("resource_uuid", Resource.uuid),
            "resource_name": _at_issue("resource_name", Resource.name),
            "billing_type": _at_issue("billing_type", OfferingComponent.billing_type),
        },
        joins=(
            _OF_INVOICE, _OF_CUSTOMER, _OF_PROJECT, _OF_RESOURCE, _OF_OFFERING, *_OF_COMPONENT,
            _OF_DOCUMENT, _OF_LINE,
        ),
        conditions={
            "customer_uuid": equals(Customer.uuid, "customer_uuid"),
            "invoice_month": equals(Invoice.month, "invoice_month"),
            "invoice_year": equals(Invoice.year, "invoice_year"),
            "offering_uuid": _of_offerings(_with_offering),
            "project_uuid": item_of_project("project_uuid"),
        },
        orders={
            "invoice_customer_name": Customer.name,
            "project_name": Project.name,
            "resource_offering_name": Offering.name,
            "unit_price": InvoiceItem.unit_price,
            "year": Invoice.year,
            "month": Invoice.month,
            "number": Invoice.number,
            "id": InvoiceItem.id,
        },
        default_order=("-year", "-month", "-number", "-id"),
        visible=sold_items,
        known_count=count_of_all(InvoiceItem),
    ),
    visibility_of=_visibility_of_sales,
)  # fmt: skip
"""The items of the offerings that a caller's customers sell, those of new invoices first."""
