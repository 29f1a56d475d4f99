"""Factories of rows: each fills in the columns that a test does not set."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import TypeAdapter
from sqlalchemy import Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from app.billing.enums import (
    BillingType,
    BillingUnit,
    CreditTransactionType,
    CustomerRoleName,
    InvoiceState,
    ProjectRoleName,
)
from app.billing.enums import PaymentType as PaymentKind
from app.billing.periods import Period, due_date
from app.catalogue.models import (
    Category,
    Offering,
    OfferingComponent,
    Plan,
    PlanComponent,
    Resource,
    ServiceProvider,
)
from app.credit_notes.models import CreditNote, CreditNoteLines
from app.credits.models import (
    AffiliateFeeAccrual,
    CreditTransaction,
    CustomerAffiliate,
    CustomerCredit,
    CustomerCreditOffering,
    ProjectCredit,
)
from app.customers.models import (
    Customer,
    CustomerOrganizationGroup,
    OrganizationGroup,
    Project,
)
from app.database.base import Base
from app.documents.document import FrozenDocument
from app.identity.models import AccessSubnet, CustomerRole, ProjectRole, Token, User
from app.invoices.actions.freeze import freeze
from app.invoices.models import Invoice, InvoiceItem
from app.payments.models import Payment, PaymentProfile
from app.settings import Settings
from tests.support.documents import credit_note_of, make_document

EARLY = datetime(2024, 1, 1, tzinfo=UTC)


_CREDIT_NOTE: Final = TypeAdapter(FrozenDocument).dump_python(
    credit_note_of(make_document()), mode="json"
)
"""The content of a credit note without lines."""


@dataclass(frozen=True)
class Row:
    """The keys of a row."""

    id: int
    uuid: UUID


@dataclass(frozen=True)
class UserRow(Row):
    """A user, and the key of the user's token."""

    key: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers with which this user calls."""
        return {"Authorization": f"Token {self.key}"}


@dataclass(frozen=True)
class PayableInvoice(Row):
    """An issued invoice, with its customer and the customer's active payment profile."""

    customer: Row
    profile: Row


@cache
def _insert_into(table: type[Base]) -> ReturningInsert[int]:
    """Return the statement for rows of any columns, made once: tests insert thousands."""
    assert isinstance(table.__table__, Table)  # not the table of the ORM, which costs twice as much
    return insert(table.__table__).returning(table.__table__.c.id)


class Factories:
    """Inserts rows over one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._counter = count(1)

    async def _insert(self, table: type[Base], values: dict[str, Any]) -> Row:
        values = {"uuid": uuid4(), **values}
        inserted = await self._connection.execute(_insert_into(table), values)
        return Row(inserted.scalar_one(), values["uuid"])

    async def user(self, **values: Any) -> UserRow:
        """Insert a user with a token."""
        number = next(self._counter)
        row = await self._insert(
            User,
            {
                "username": f"user-{number}-{uuid4().hex[:6]}",
                "email": f"user-{number}@example.com",
                "created_at": EARLY,
                **values,
            },
        )
        key = uuid4().hex
        await self.token(row, key)
        return UserRow(row.id, row.uuid, key)

    async def staff(self) -> UserRow:
        """Insert a staff user, who may change every record."""
        return await self.user(is_staff=True)

    async def support(self) -> UserRow:
        """Insert a support user, who may read every record."""
        return await self.user(is_support=True)

    async def token(self, user: Row, key: str, **values: Any) -> Row:
        """Insert a token of a user from its key."""
        digest = sha256(key.encode()).hexdigest()
        return await self._insert(
            Token, {"user_id": user.id, "digest": digest, "created_at": EARLY, **values}
        )

    async def role(self, user: Row, customer: Row, **values: Any) -> Row:
        """Give a user a role at a customer, by default the owner's."""
        return await self._insert(
            CustomerRole,
            {
                "user_id": user.id,
                "customer_id": customer.id,
                "role": CustomerRoleName.OWNER,
                "created_at": EARLY,
                **values,
            },
        )

    async def owner(self, customer: Row, **values: Any) -> UserRow:
        """Insert a user who is an owner of the customer."""
        user = await self.user(**values)
        await self.role(user, customer)
        return user

    async def project_role(self, user: Row, project: Row, **values: Any) -> Row:
        """Give a user a role in a project, by default the member's."""
        return await self._insert(
            ProjectRole,
            {
                "user_id": user.id,
                "project_id": project.id,
                "role": ProjectRoleName.MEMBER,
                "created_at": EARLY,
                **values,
            },
        )

    async def member(self, project: Row, **values: Any) -> UserRow:
        """Insert a user who is a member of the project."""
        user = await self.user(**values)
        await self.project_role(user, project)
        return user

    async def subnet(self, customer: Row, network: str | None) -> Row:
        """Give a customer an access subnet."""
        return await self._insert(AccessSubnet, {"customer_id": customer.id, "network": network})

    async def customer(self, **values: Any) -> Row:
        """Insert a customer."""
        number = next(self._counter)
        return await self._insert(
            Customer,
            {
                "name": f"Customer {number}",
                "email": f"billing-{number}@example.com",
                "country": "EE",
                "default_tax_percent": Decimal(20),
                "accounting_start_date": EARLY,
                "created_at": EARLY,
                **values,
            },
        )

    async def organization_group(self, *members: Row, **values: Any) -> Row:
        """Insert a group of customers."""
        group = await self._insert(OrganizationGroup, {"name": "Universities", **values})
        for member in members:
            link = {"customer_id": member.id, "organization_group_id": group.id}
            await self._connection.execute(insert(CustomerOrganizationGroup).values(link))
        return group

    async def project(self, customer: Row, **values: Any) -> Row:
        """Insert a project of a customer."""
        return await self._insert(
            Project,
            {
                "customer_id": customer.id,
                "name": f"Project {next(self._counter)}",
                "created_at": EARLY,
                **values,
            },
        )

    async def service_provider(self, customer: Row, **values: Any) -> Row:
        """Record a customer as a service provider."""
        return await self._insert(
            ServiceProvider, {"customer_id": customer.id, "created_at": EARLY, **values}
        )

    async def category(self, **values: Any) -> Row:
        """Insert a category."""
        return await self._insert(Category, {"title": f"Category {next(self._counter)}", **values})

    async def offering(self, provider: Row | None = None, **values: Any) -> Row:
        """Insert an offering of a customer, in a category of its own."""
        if "category_id" not in values:
            values["category_id"] = (await self.category()).id
        return await self._insert(
            Offering,
            {
                "name": f"Offering {next(self._counter)}",
                "customer_id": provider.id if provider else None,
                "created_at": EARLY,
                **values,
            },
        )

    async def component(self, offering: Row, **values: Any) -> Row:
        """Insert a component of an offering."""
        return await self._insert(
            OfferingComponent,
            {
                "offering_id": offering.id,
                "type": "cpu",
                "name": "CPU",
                "billing_type": BillingType.LIMIT,
                **values,
            },
        )

    async def plan(self, offering: Row, **values: Any) -> Row:
        """Insert a plan of an offering."""
        return await self._insert(
            Plan,
            {
                "offering_id": offering.id,
                "name": f"Plan {next(self._counter)}",
                "unit": BillingUnit.MONTH,
                "unit_price": Decimal(0),
                "created_at": EARLY,
                **values,
            },
        )

    async def plan_component(self, plan: Row, component: Row | None, **values: Any) -> Row:
        """Insert the price of a component in a plan."""
        return await self._insert(
            PlanComponent,
            {
                "plan_id": plan.id,
                "component_id": component.id if component else None,
                "price": Decimal(1),
                **values,
            },
        )

    async def resource(self, project: Row, offering: Row, **values: Any) -> Row:
        """Insert a resource of a project."""
        return await self._insert(
            Resource,
            {
                "project_id": project.id,
                "offering_id": offering.id,
                "name": f"Resource {next(self._counter)}",
                "created_at": EARLY,
                **values,
            },
        )

    async def invoice(
        self,
        customer: Row,
        period: Period = Period(2026, 10),  # noqa: B008 - frozen
        state: InvoiceState = InvoiceState.PENDING,
        **values: Any,
    ) -> Row:
        """Insert an invoice; one that is not pending was issued on the first of the next month."""
        if state is not InvoiceState.PENDING and "invoice_date" not in values:
            values["invoice_date"] = period.shifted(1).first_day
        if values.get("invoice_date") and "due_date" not in values:
            values["due_date"] = due_date(values["invoice_date"], 30)
        return await self._insert(
            Invoice,
            {
                "customer_id": customer.id,
                "year": period.year,
                "month": period.month,
                "state": state,
                "tax_percent": Decimal(20),
                "created": period.first_day,
                **values,
            },
        )

    async def freeze(self, settings: Settings, *invoices: Row) -> None:
        """Freeze issued invoices."""
        assert await freeze(self._connection, [each.id for each in invoices], settings)

    async def credit_note(self, invoice: Row, **values: Any) -> Row:
        """Insert a credit note of an invoice that gives nothing back, without lines."""
        return await self._insert(
            CreditNote,
            {
                "number": next(self._counter),
                "invoice_id": invoice.id,
                "issue_date": date(2026, 11, 10),
                "reason": "A mistake",
                "net": Decimal(0),
                "gross": Decimal(0),
                "content": _CREDIT_NOTE,
                "digest": sha256(b"{}").digest(),
                **values,
            },
        )

    async def credit_note_lines(self, note: Row, content: dict[str, Any]) -> Row:
        """Insert the first lines of a credit note."""
        return await self._insert(
            CreditNoteLines,
            {
                "credit_note_id": note.id,
                "batch": 0,
                "content": content,
                "digest": sha256(b"{}").digest(),
            },
        )

    async def payable_invoice(self, *unit_prices: str, **values: Any) -> PayableInvoice:
        """Insert an issued invoice with one item for each price, for a customer who can pay it.

        The customer is new and has an active payment profile.
        """
        customer = await self.customer()
        profile = await self.profile(customer)
        invoice = await self.invoice(customer, state=InvoiceState.CREATED, **values)
        if unit_prices:
            await self.items(invoice, *unit_prices)
        return PayableInvoice(invoice.id, invoice.uuid, customer, profile)

    async def item(self, invoice: Row, unit_price: str | Decimal = "10", **values: Any) -> Row:
        """Insert a line item; by default of one unit, for the month of October 2026."""
        return await self._insert(InvoiceItem, self._item(invoice, unit_price) | values)

    async def items(self, invoice: Row, *unit_prices: str) -> None:
        """Insert such a line item for each price, in few statements."""
        rows = [{"uuid": uuid4(), **self._item(invoice, each)} for each in unit_prices]
        # With RETURNING, one statement has many rows, for which the triggers add up prices once.
        await self._connection.execute(insert(InvoiceItem).returning(InvoiceItem.id), rows)

    def _item(self, invoice: Row, unit_price: str | Decimal) -> dict[str, Any]:
        period = Period(2026, 10)
        return {
            "invoice_id": invoice.id,
            "name": f"Item {next(self._counter):03}",
            "unit_price": Decimal(unit_price),
            "quantity": Decimal(1),
            "unit": BillingUnit.QUANTITY,
            "start": period.start,
            "end": period.end,
        }

    async def profile(self, customer: Row, **values: Any) -> Row:
        """Insert a payment profile, active unless said otherwise."""
        return await self._insert(
            PaymentProfile,
            {"customer_id": customer.id, "payment_type": PaymentKind.INVOICES, **values},
        )

    async def payment(self, profile: Row, **values: Any) -> Row:
        """Insert a payment."""
        return await self._insert(
            Payment,
            {
                "profile_id": profile.id,
                "date_of_payment": date(2026, 11, 5),
                "sum": Decimal("10.00"),
                "created_at": EARLY,
                **values,
            },
        )

    async def credit(self, customer: Row, value: str = "100", **values: Any) -> Row:
        """Insert a credit of a customer, without a row in the ledger."""
        return await self._insert(
            CustomerCredit,
            {
                "customer_id": customer.id,
                "value": Decimal(value),
                "created_at": EARLY,
                **values,
            },
        )

    async def credit_offering(self, credit: Row, offering: Row) -> None:
        """Let a credit pay items of an offering, and of others that were added."""
        await self._connection.execute(
            insert(CustomerCreditOffering).values(
                customer_credit_id=credit.id, offering_id=offering.id
            )
        )

    async def project_credit(self, project: Row, value: str = "100", **values: Any) -> Row:
        """Insert a credit of a project, without a row in the ledger."""
        return await self._insert(
            ProjectCredit,
            {"project_id": project.id, "value": Decimal(value), "created_at": EARLY, **values},
        )

    async def credit_transaction(self, **values: Any) -> Row:
        """Insert a movement of the ledger."""
        return await self._insert(
            CreditTransaction,
            {
                "amount": Decimal(10),
                "transaction_type": CreditTransactionType.STAFF_GRANT,
                "created_at": EARLY,
                **values,
            },
        )

    async def affiliate(self, customer: Row, affiliate: Row, **values: Any) -> Row:
        """Let an affiliate earn a fee from a customer, by default of 10 %."""
        return await self._insert(
            CustomerAffiliate,
            {
                "customer_id": customer.id,
                "affiliate_id": affiliate.id,
                "fee_percent": Decimal(10),
                "created_at": EARLY,
                **values,
            },
        )

    async def fee_accrual(self, affiliate: Row, invoice: Row, **values: Any) -> Row:
        """Insert the fee that an affiliate earned from an invoice."""
        return await self._insert(
            AffiliateFeeAccrual,
            {
                "affiliate_link_id": affiliate.id,
                "invoice_id": invoice.id,
                "amount": Decimal("0.50000"),
                "created_at": EARLY,
                **values,
            },
        )
