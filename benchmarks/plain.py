"""The reference `plain`: the same answers as most FastAPI projects make them.

ORM entities with their relationships loaded by `selectinload`, turned into JSON by a
`response_model`. The mapping is the benchmark's own; it covers what the answers need.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from pydantic import BaseModel, ConfigDict, PlainSerializer
from sqlalchemy import ForeignKey, collate, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from app.customers.countries import country_name
from app.settings import Settings

_PAGE = 10
_CENT = Decimal("0.01")
_SHARES = {"month": "percents from a month"}


class Base(DeclarativeBase):
    """Base of the mapping, apart from the service's own."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSONB}
    public_url: ClassVar[str] = ""
    issuer: ClassVar[dict[str, Any]] = {}
    locale: ClassVar[str] = "en"


class Customer(Base):
    __tablename__ = "customers"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[UUID]
    name: Mapped[str]
    address: Mapped[str]
    country: Mapped[str]
    email: Mapped[str]
    postal: Mapped[str]
    phone_number: Mapped[str]
    bank_name: Mapped[str]
    bank_account: Mapped[str]
    vat_code: Mapped[str]

    @property
    def country_name(self) -> str | None:
        return country_name(self.country, self.locale)


class Project(Base):
    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[UUID]
    name: Mapped[str]


class Resource(Base):
    __tablename__ = "resources"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[UUID]
    name: Mapped[str]


class OfferingComponent(Base):
    __tablename__ = "offering_components"

    id: Mapped[int] = mapped_column(primary_key=True)
    billing_type: Mapped[str]


class PlanComponent(Base):
    __tablename__ = "plan_components"

    id: Mapped[int] = mapped_column(primary_key=True)
    component_id: Mapped[int | None] = mapped_column(ForeignKey("offering_components.id"))
    component: Mapped[OfferingComponent | None] = relationship()


class Item(Base):
    __tablename__ = "invoice_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[UUID]
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoices.id"))
    name: Mapped[str]
    price: Mapped[Decimal]
    unit_price: Mapped[Decimal]
    unit: Mapped[str]
    stored_measured_unit: Mapped[str] = mapped_column("measured_unit")
    start: Mapped[datetime]
    end: Mapped[datetime]
    article_code: Mapped[str]
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    project_name: Mapped[str]
    project_uuid: Mapped[UUID | None]
    quantity: Mapped[Decimal]
    details: Mapped[dict[str, Any]]
    resource_id: Mapped[int | None] = mapped_column(ForeignKey("resources.id"))
    plan_component_id: Mapped[int | None] = mapped_column(ForeignKey("plan_components.id"))
    backend_uuid: Mapped[UUID | None]
    credit: Mapped[bool]

    invoice: Mapped["Invoice"] = relationship(back_populates="items")
    project: Mapped[Project | None] = relationship()
    resource_entity: Mapped[Resource | None] = relationship()
    plan_component: Mapped[PlanComponent | None] = relationship()

    @property
    def url(self) -> str:
        return f"{self.public_url}/api/invoice-items/{self.uuid}/"

    @property
    def tax(self) -> Decimal:
        return self.price * self.invoice.tax_percent / 100

    @property
    def total(self) -> Decimal:
        return self.price + self.tax

    @property
    def factor(self) -> int | None:
        return int(self.quantity) if self.quantity == int(self.quantity) else None

    @property
    def measured_unit(self) -> str:
        return self.stored_measured_unit or _SHARES.get(self.unit, "")

    @property
    def resource(self) -> str | None:
        if self.resource_entity is None:
            return None
        return f"{self.public_url}/api/marketplace-resources/{self.resource_entity.uuid}/"

    @property
    def resource_uuid(self) -> UUID | None:
        return self.resource_entity.uuid if self.resource_entity else None

    @property
    def resource_name(self) -> str | None:
        return self.resource_entity.name if self.resource_entity else None

    @property
    def billing_type(self) -> str | None:
        component = self.plan_component.component if self.plan_component else None
        return component.billing_type if component else None


class Invoice(Base):
    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[UUID]
    number: Mapped[int]
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    total_price: Mapped[Decimal]
    tax_percent: Mapped[Decimal]
    state: Mapped[str]
    year: Mapped[int]
    month: Mapped[int]
    invoice_date: Mapped[date | None]
    due_date: Mapped[date | None]
    backend_id: Mapped[str]
    payment_url: Mapped[str]
    reference_number: Mapped[str]
    compensations: Mapped[Decimal]
    incurred_costs: Mapped[Decimal]

    customer_details: Mapped[Customer] = relationship()
    items: Mapped[list[Item]] = relationship(
        back_populates="invoice",
        order_by=(collate(Item.project_name, "C"), collate(Item.name, "C"), Item.id),
    )

    @property
    def url(self) -> str:
        return f"{self.public_url}/api/invoices/{self.uuid}/"

    @property
    def customer(self) -> str:
        return f"{self.public_url}/api/customers/{self.customer_details.uuid}/"

    @property
    def issuer_details(self) -> dict[str, Any]:
        return self.issuer

    @property
    def price(self) -> Decimal:
        return self.total_price

    @property
    def tax(self) -> Decimal:
        return self.total_price * self.tax_percent / 100

    @property
    def total(self) -> Decimal:
        return self.total_price + self.tax


Ten = Annotated[Decimal, PlainSerializer(lambda value: f"{value:.10f}", return_type=str)]
Two = Annotated[
    Decimal,
    PlainSerializer(lambda value: str(value.quantize(_CENT, ROUND_HALF_EVEN)), return_type=str),
]
Number = Annotated[Decimal, PlainSerializer(float, return_type=float)]


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class CustomerDetails(_Schema):
    """Whom an invoice is addressed to."""

    name: str
    address: str
    country: str
    country_name: str | None
    email: str
    postal: str
    phone_number: str
    bank_name: str
    bank_account: str
    vat_code: str


class PlainItem(_Schema):
    """One line of an invoice."""

    uuid: UUID
    url: str
    name: str
    price: Number
    tax: Two
    total: Two
    unit_price: Ten
    unit: str
    factor: int | None
    measured_unit: str
    start: datetime
    end: datetime
    article_code: str
    project_name: str
    project_uuid: UUID | None
    quantity: Ten
    details: dict[str, Any]
    resource: str | None
    resource_uuid: UUID | None
    resource_name: str | None
    billing_type: str | None
    backend_uuid: UUID | None
    credit: bool


class PlainInvoice(_Schema):
    """The amount that a customer owes for one month."""

    url: str
    uuid: UUID
    number: int
    customer: str
    price: Ten
    tax: Ten
    total: Ten
    state: str
    year: int
    month: int
    issuer_details: dict[str, Any]
    invoice_date: date | None
    due_date: date | None
    customer_details: CustomerDetails
    items: list[PlainItem]
    backend_id: str
    payment_url: str
    reference_number: str
    compensations: Number
    incurred_costs: Number


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.database.engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]


def _loaded() -> tuple[ORMOption, ...]:
    items = selectinload(Invoice.items)
    return (
        selectinload(Invoice.customer_details),
        items.selectinload(Item.project),
        items.selectinload(Item.resource_entity),
        items.selectinload(Item.plan_component).selectinload(PlanComponent.component),
    )


def build_router(settings: Settings) -> APIRouter:
    """Return the routes of `plain`."""
    Base.public_url = str(settings.public_url or "")
    Base.issuer = settings.issuer_details.model_dump()
    Base.locale = settings.locale
    router = APIRouter(prefix="/bench/plain/invoices")

    @router.get("/", response_model=list[PlainInvoice])
    async def list_invoices(session: Session, response: Response, page: int = 1) -> Any:
        count = await session.scalar(select(func.count()).select_from(Invoice))
        response.headers["X-Result-Count"] = str(count)
        statement = (
            select(Invoice)
            .options(*_loaded())
            .order_by(Invoice.year.desc(), Invoice.month.desc(), Invoice.number.desc())
            .limit(_PAGE)
            .offset((page - 1) * _PAGE)
        )
        return (await session.scalars(statement)).all()

    @router.get("/{uuid}/", response_model=PlainInvoice)
    async def retrieve(uuid: UUID, session: Session) -> Any:
        invoice = await session.scalar(
            select(Invoice).options(*_loaded()).where(Invoice.uuid == uuid)
        )
        if invoice is None:
            raise HTTPException(404)
        return invoice

    return router
