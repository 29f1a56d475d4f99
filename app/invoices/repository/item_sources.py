"""The sources of items: as they are today, and as their documents were frozen.

Both have the same columns, so that conditions, orders and sums are of either:

- the columns of an item: `id`, `invoice_id`, `uuid`, `name`, `price`, `unit_price`, `quantity`,
  `unit`, `measured_unit`, `start`, `end`, `article_code`, `details`, `backend_uuid`, `credit`;
- `own_project_name`, its own, by which items are ordered; `project_name` and `project_uuid`, those
  of its project where it has none; null without a project;
- `resource_uuid`, `resource_name`, `billing_type`, `component_type`, `plan_name`;
- of the offering that the item counts for, the resource's own first: `offering_uuid`,
  `offering_name`, `category_title`, the customer that sells it, `seller_uuid` and `seller_name`,
  and `provider_uuid`, of that customer as a service provider.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    FromClause,
    Numeric,
    Text,
    Uuid,
    and_,
    case,
    cast,
    collate,
    column,
    false,
    func,
    not_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import aliased

from app.catalogue.models import (
    Category,
    Offering,
    OfferingComponent,
    Plan,
    PlanComponent,
    Resource,
    ServiceProvider,
)
from app.customers.models import Customer, Project
from app.invoices.models import DocumentLines, Invoice, InvoiceDocument, InvoiceItem

CODE_POINTS: Final = "C"
"""The collation of every order by text, independent of the database's own."""
is_present_document: Final[ColumnElement[bool]] = and_(
    InvoiceDocument.invoice_id == Invoice.id, InvoiceDocument.version == Invoice.document_version
)
"""The condition that a document is the present one of an invoice."""
is_of_document: Final[ColumnElement[bool]] = and_(
    DocumentLines.invoice_id == InvoiceDocument.invoice_id,
    DocumentLines.version == InvoiceDocument.lines_version,
)
"""The condition that lines are those of a document."""
offering_id: Final = func.coalesce(Resource.offering_id, InvoiceItem.offering_id)
"""The offering that an item counts for; the resource's own comes first."""
project_name: Final[ColumnElement[Any]] = func.coalesce(
    func.nullif(InvoiceItem.project_name, ""), Project.name
)
"""The name when the item was made; for older items the project's own, which may be null."""

_seller = aliased(Customer)

LIVE: Final[FromClause] = (
    select(
        InvoiceItem.id,
        InvoiceItem.invoice_id,
        InvoiceItem.uuid,
        InvoiceItem.name,
        InvoiceItem.price,
        InvoiceItem.unit_price,
        InvoiceItem.quantity,
        InvoiceItem.unit,
        InvoiceItem.measured_unit,
        InvoiceItem.start,
        InvoiceItem.end,
        InvoiceItem.article_code,
        InvoiceItem.details,
        InvoiceItem.backend_uuid,
        InvoiceItem.credit,
        InvoiceItem.project_name.label("own_project_name"),
        project_name.label("project_name"),
        func.coalesce(InvoiceItem.project_uuid, Project.uuid).label("project_uuid"),
        Resource.uuid.label("resource_uuid"),
        Resource.name.label("resource_name"),
        OfferingComponent.billing_type,
        OfferingComponent.type.label("component_type"),
        Plan.name.label("plan_name"),
        Offering.uuid.label("offering_uuid"),
        Offering.name.label("offering_name"),
        Category.title.label("category_title"),
        _seller.uuid.label("seller_uuid"),
        _seller.name.label("seller_name"),
        ServiceProvider.uuid.label("provider_uuid"),
    )
    .select_from(InvoiceItem)
    .outerjoin(Project, Project.id == InvoiceItem.project_id)
    .outerjoin(Resource, Resource.id == InvoiceItem.resource_id)
    .outerjoin(PlanComponent, PlanComponent.id == InvoiceItem.plan_component_id)
    .outerjoin(OfferingComponent, OfferingComponent.id == PlanComponent.component_id)
    .outerjoin(Plan, Plan.id == PlanComponent.plan_id)
    .outerjoin(Offering, Offering.id == offering_id)
    .outerjoin(Category, Category.id == Offering.category_id)
    .outerjoin(_seller, _seller.id == Offering.customer_id)
    .outerjoin(ServiceProvider, ServiceProvider.customer_id == _seller.id)
    .subquery("item")
)
"""Items with the names of today. Joins whose columns are not read cost nothing."""


def is_shown_in(source: FromClause) -> ColumnElement[bool]:
    """Return the condition of the items that are shown: those that cost nothing are hidden."""
    return source.c.price != 0


def item_order(source: FromClause) -> tuple[ColumnElement[Any], ...]:
    """Return the order of the items of an invoice."""
    own_project, name = source.c.own_project_name, source.c.name
    return collate(own_project, CODE_POINTS), collate(name, CODE_POINTS), source.c.id


def is_provider_tax(source: FromClause) -> ColumnElement[bool]:
    """Return whether an item is tax charged by the provider: a FOCUS row of the category `Tax`."""
    category = source.c.details["charge_category"].astext
    return and_(not_(source.c.credit), func.coalesce(func.lower(category) == "tax", false()))


def _line_of(value: ColumnElement[Any]) -> FromClause:
    """Return the columns of a frozen line, besides the keys of the item and the invoice."""
    types: dict[str, Any] = {
        name: Uuid if name.endswith("uuid") else Text for name, _ in LIVE.c.items()
    }
    types |= dict.fromkeys(("price", "unit_price", "quantity"), Numeric)
    types |= dict.fromkeys(("start", "end"), DateTime(timezone=True))
    types |= {"details": JSONB, "credit": Boolean}
    del types["id"], types["invoice_id"]
    record = func.jsonb_to_record(value).table_valued(
        *(column(name, each) for name, each in types.items())
    )
    return record.render_derived(name="line", with_types=True).lateral("line")


def _columns_of(line: FromClause) -> list[ColumnElement[Any]]:
    columns: list[ColumnElement[Any]] = [
        each for name, each in line.c.items() if name != "resource_name"
    ]
    # A document has the name in the details of an item without a resource.
    name = case((line.c.resource_uuid.is_not(None), line.c.resource_name))
    return [*columns, name.label("resource_name")]


def _frozen() -> FromClause:
    each = (
        func.jsonb_each(DocumentLines.content)
        .table_valued(column("key", Text), column("value", JSONB))
        .render_derived(name="each")
        .lateral("each")
    )
    line = _line_of(each.c.value)
    return (
        select(
            cast(each.c.key, BigInteger).label("id"),
            DocumentLines.invoice_id,
            *_columns_of(line),
        )
        .select_from(Invoice)
        .join(InvoiceDocument, is_present_document)
        .join(DocumentLines, is_of_document)
        .join(each, true())
        .join(line, true())
        .subquery("item")
    )


def _frozen_line() -> FromClause:
    value = DocumentLines.content.op("->")(cast(InvoiceItem.id, Text))
    batch = (
        select(DocumentLines.invoice_id, value.label("value"))
        .select_from(InvoiceDocument)
        .join(DocumentLines, is_of_document)
        .where(is_present_document, DocumentLines.first_item_id <= InvoiceItem.id)
        .order_by(DocumentLines.first_item_id.desc())
        .limit(1)
        .correlate(Invoice, InvoiceItem)
        .lateral("batch")
    )
    line = _line_of(batch.c.value)
    return (
        select(batch.c.invoice_id, *_columns_of(line))
        .select_from(batch.join(line, true()))
        .lateral("frozen_line")
    )


FROZEN: Final[FromClause] = _frozen()
"""The items of the present documents, with the names of the issue."""
FROZEN_LINE: Final[FromClause] = _frozen_line()
"""The frozen line of one item, in a statement that has its invoice; no row without a document."""


def source_of(is_frozen: bool) -> FromClause:
    """Return the source of the items of an invoice with or without a document."""
    return FROZEN if is_frozen else LIVE
