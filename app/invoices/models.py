"""Invoices and their items.

Triggers keep the totals: `total_price`, `incurred_costs` and `compensations` follow the items, and
`total_cost` follows them and the tax; `credited` follows the credit notes. They also compute the
`price` of an item that has none, and keep the summaries at the end, which save reads a scan of all
invoices. An issued invoice has a frozen document, which everything shows from then on.
"""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    FetchedValue,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    Sequence,
    SmallInteger,
    String,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.billing.enums import BillingUnit, InvoiceState
from app.database.base import (
    Amount,
    Base,
    BlankText,
    JsonObject,
    Money10,
    PrimaryKey,
    PublicId,
    enum_check,
)

invoice_numbers = Sequence("invoice_numbers", start=100001, metadata=Base.metadata)


TOTAL_LIMIT: Final = Decimal("1e20")
"""The total price of an invoice is nearer to zero than this amount."""


class Invoice(Base):
    """The charges of a customer for one month."""

    __tablename__ = "invoices"
    __table_args__ = (
        UniqueConstraint("customer_id", "year", "month"),
        enum_check("state", InvoiceState),
        CheckConstraint("month BETWEEN 1 AND 12", name="month_is_of_a_year"),
        CheckConstraint("year BETWEEN 1 AND 9999", name="year_is_of_the_calendar"),
        CheckConstraint(
            "tax_percent >= 0 AND tax_percent <> 'NaN'", name="tax_percent_is_not_negative"
        ),
        CheckConstraint("abs(total_price) < 1e20", name="total_price_is_bounded"),
        CheckConstraint(
            "(invoice_date IS NULL) = (due_date IS NULL)", name="due_date_follows_invoice_date"
        ),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    number: Mapped[int] = mapped_column(
        BigInteger, invoice_numbers, server_default=invoice_numbers.next_value(), unique=True
    )
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    year: Mapped[int] = mapped_column(SmallInteger)
    month: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(
        default=InvoiceState.PENDING, server_default=InvoiceState.PENDING
    )
    tax_percent: Mapped[Decimal] = mapped_column(Numeric, default=Decimal(0))
    """20 stands for 20 %. Below 100, until `widen_taxes()` changes the type of the column."""
    created: Mapped[date]
    invoice_date: Mapped[date | None]
    """The date on which the invoice was issued, that is, left the state pending."""
    due_date: Mapped[date | None]
    backend_id: Mapped[BlankText] = mapped_column(String(255))
    payment_url: Mapped[BlankText] = mapped_column(String(200))
    reference_number: Mapped[BlankText] = mapped_column(String(300))
    cancel_reason: Mapped[BlankText]
    source: Mapped[str | None]
    """The import that brought the invoice; null for an invoice of this service."""
    total_price: Mapped[Amount] = mapped_column(default=Decimal(0), server_default="0")
    """The sum of the items' prices, without tax; exact."""
    incurred_costs: Mapped[Decimal] = mapped_column(Numeric, default=Decimal(0), server_default="0")
    """The exact sum of unit price times quantity over items without a credit."""
    compensations: Mapped[Decimal] = mapped_column(Numeric, default=Decimal(0), server_default="0")
    """The exact sum of unit price times quantity over items with a credit."""
    total_cost: Mapped[Amount] = mapped_column(server_default=FetchedValue())
    """The total with tax, rounded half up to the currency's decimals."""
    credited: Mapped[Amount] = mapped_column(default=Decimal(0), server_default="0")
    """The sum of the credit notes of the invoice, with tax. What is to be paid is less by it."""
    revision: Mapped[int] = mapped_column(BigInteger, default=1, server_default="1")
    """Incremented by a trigger with each change of the invoice or its items. With
    `ReferenceRevision` it identifies one version of all that the invoice shows."""
    imported_revision: Mapped[int | None] = mapped_column(BigInteger)
    """The revision that the last import left. If it differs from `revision`, the invoice was
    changed since."""
    document_version: Mapped[int | None]
    """The version of the frozen document; null until the invoice is frozen. A trigger holds the
    items and the numbers and dates of an invoice with a document."""
    history_count: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """The number of audit entries of the invoice. `app.audit` writes this column and the next."""
    history_head: Mapped[bytes | None]
    """The keyed hash of the last entry and the count; null before the first entry."""


Index(
    "ix_invoices_newest_first",
    Invoice.year.desc(),
    Invoice.month.desc(),
    Invoice.number.desc(),
)
Index(
    "ix_invoices_state_newest_first",
    Invoice.state,
    Invoice.year.desc(),
    Invoice.month.desc(),
    Invoice.number.desc(),
)
Index(
    "ix_invoices_created_newest_first",
    Invoice.created.desc(),
    Invoice.year.desc(),
    Invoice.month.desc(),
    Invoice.number.desc(),
)
Index(
    "ix_invoices_month_newest_first",
    Invoice.month.desc(),
    Invoice.year.desc(),
    Invoice.number.desc(),
)
Index("ix_invoices_total_cost", Invoice.total_cost)
UNFROZEN: Final = text(
    "document_version IS NULL AND (state IN ('created', 'paid')"
    " OR state = 'canceled' AND invoice_date IS NOT NULL)"
)
"""The condition of an invoice that was issued and has no frozen document."""
Index("ix_invoices_unfrozen", Invoice.id, postgresql_where=UNFROZEN)


RESTATED_ITEM: Final = "restated_item"
"""The key in the details of a difference of a restated bill: the item that it corrects."""
IS_DIFFERENCE: Final = literal_column(f"(details ? '{RESTATED_ITEM}')", Boolean)
"""The condition of an item that bills the difference of a restated bill."""


class InvoiceItem(Base):
    """One line of an invoice."""

    __tablename__ = "invoice_items"
    __table_args__ = (
        enum_check("unit", BillingUnit),
        CheckConstraint(
            "customer_credit_id IS NULL OR credit", name="customer_credit_makes_a_credit"
        ),
        CheckConstraint("unit_price <> 'NaN' AND quantity <> 'NaN'", name="amounts_are_numbers"),
        CheckConstraint("jsonb_typeof(details) = 'object'", name="details_are_an_object"),
        Index("ix_invoice_items_invoice_id_id", "invoice_id", "id"),
        Index("ix_invoice_items_start_id", "start", "id"),
        Index("ix_invoice_items_differences", "invoice_id", postgresql_where=IS_DIFFERENCE),
        # With the price, so that the costs of a project are added up from the index.
        Index(
            "ix_invoice_items_project_id_invoice_id",
            "project_id",
            "invoice_id",
            postgresql_include=["price"],
        ),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id", ondelete="CASCADE"))
    name: Mapped[str]
    unit_price: Mapped[Money10]
    quantity: Mapped[Money10]
    unit: Mapped[str]
    measured_unit: Mapped[BlankText]
    article_code: Mapped[BlankText] = mapped_column(String(30))
    start: Mapped[datetime]
    end: Mapped[datetime]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    project_name: Mapped[BlankText]
    """The name of the project when the item was created; it outlives the project."""
    project_uuid: Mapped[UUID | None]
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resources.id"), index=True)
    offering_id: Mapped[int | None] = mapped_column(ForeignKey("offerings.id"), index=True)
    """The offering of an item without a resource; else the resource's offering counts."""
    plan_component_id: Mapped[int | None] = mapped_column(
        ForeignKey("plan_components.id"), index=True
    )
    details: Mapped[JsonObject]
    backend_uuid: Mapped[UUID | None]
    credit: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Whether the item is a compensation, which reduces the total."""
    customer_credit_id: Mapped[int | None] = mapped_column(
        ForeignKey("customer_credits.id"), index=True
    )
    price: Mapped[Amount] = mapped_column(server_default=FetchedValue())
    """In the decimals of the currency, and at most one smallest unit away from unit price times
    quantity. If no price is given, it is their product, rounded away from zero, and follows their
    changes."""


class InvoiceDocument(Base):
    """A version of the frozen document of an issued invoice, without its lines. Append-only.

    It outlives the invoice, as the audit record does, which has the digest.
    """

    __tablename__ = "invoice_documents"

    invoice_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Counted from 1."""
    lines_version: Mapped[int]
    """The version in `document_lines`: the same for versions that differ in the head alone."""
    completed_version: Mapped[int | None]
    """The version that last filled in empty values; null until one does."""
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The keys of `app.documents.document.FrozenDocument`, and `api` with what the API shows
    besides: `customer_details`, and `issuer_details` as a text of JSON."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the text of the content, followed by the digests of the lines in their order."""


class DocumentLines(Base):
    """Up to a hundred lines of a frozen document. Append-only."""

    __tablename__ = "document_lines"

    invoice_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_item_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """By the key of the item: the keys of `app.documents.document.DocumentLine`, what the API shows
    besides, and `position`, the place in the API's order."""
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    """SHA-256 of the text of the content."""


class LinesRepresentation(Base):
    """A part of the lines of a frozen document as the API sends them, the first one with its head.

    The job `represent_issued` renders it from the document, again after the form has changed.
    """

    __tablename__ = "lines_representations"

    invoice_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    lines_version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Of the document, or the later version that filled in empty values of its head."""
    form: Mapped[str] = mapped_column(primary_key=True)
    """The versions of the representation and of its layout, and the style of UUIDs."""
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Counted from 0."""
    is_last: Mapped[bool]
    head: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Of the first part: the members of the invoice as JSON, in their documented order, each ended
    by a mark. The fields that may change have no value. Marks stand for base URLs."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    """Items as JSON with commas between, compressed by zstd; marks stand for base URLs."""


class DatabaseCurrency(Base):
    """One row: the currency of all amounts, to whose decimals triggers round.

    The code is null and the decimals are two until a process with the setting CURRENCY starts.
    """

    __tablename__ = "currency"
    __table_args__ = (
        CheckConstraint("single", name="is_one"),
        CheckConstraint("decimals BETWEEN 0 AND 4", name="decimals_are_few"),
    )

    single: Mapped[bool] = mapped_column(primary_key=True, default=True, server_default="true")
    code: Mapped[str | None]
    """The ISO 4217 code."""
    decimals: Mapped[int] = mapped_column(SmallInteger, default=2, server_default="2")


class ReferenceRevision(Base):
    """One row, incremented with each change of other records that invoices show.

    These are customers, projects, resources, offerings and their categories, components of
    offerings and plans, and service providers.
    """

    __tablename__ = "reference_revision"
    __table_args__ = (CheckConstraint("single", name="is_one"),)

    single: Mapped[bool] = mapped_column(primary_key=True, default=True, server_default="true")
    revision: Mapped[int] = mapped_column(BigInteger, default=1, server_default="1")
    restored: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """When the database was last restored from a backup, as Unix time; 0: never."""


class InvoiceSummary(Base):
    """The number of invoices of a month and state, and their sums: add up its rows.

    Each change adds a row with its difference, so that changes do not wait for each other; a job
    merges rows. A sum is consistent with the snapshot that reads it.
    """

    __tablename__ = "invoice_tallies"

    id: Mapped[PrimaryKey]
    year: Mapped[int] = mapped_column(SmallInteger)
    month: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str]
    invoices: Mapped[int] = mapped_column(BigInteger)
    price: Mapped[Decimal] = mapped_column(Numeric)
    """Without tax."""
    cost: Mapped[Decimal] = mapped_column(Numeric)
    """With tax; each invoice is rounded to the decimals of the currency."""


class CustomerYearTotal(Base):
    """The total of a customer's invoices that were created since a day."""

    __tablename__ = "customer_year_totals"

    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True
    )
    since: Mapped[date] = mapped_column(Date, index=True)
    """One year before the day on which a daily job last advanced the row."""
    invoices: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[Decimal] = mapped_column(Numeric)
    """With tax."""


Index(
    "ix_customer_year_totals_largest",
    CustomerYearTotal.since,
    CustomerYearTotal.total.desc(),
    CustomerYearTotal.customer_id,
    postgresql_where=CustomerYearTotal.invoices > 0,
)
