"""The demonstration's catalogue: categories, offerings, components, plans and prices."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.billing.enums import BillingType, BillingUnit
from app.billing.periods import Period
from app.catalogue.models import (
    Category,
    Offering,
    OfferingComponent,
    Plan,
    PlanComponent,
    ServiceProvider,
)
from app.customers.models import Customer
from app.local.demo.rows import Rows, identifier

RECORDED_PROVIDERS = ("virmalis", "fjordlys", "brume")
"""Sellers with a service provider record; `zuraw` has none."""

CATEGORIES = {
    "compute": "Virtual machines",
    "storage": "Storage",
    "hpc": "High-performance computing",
    "containers": "Containers",
    "software": "Software licences",
}


@dataclass(frozen=True)
class Component:
    """A component of an offering, with its own charge."""

    type: str
    name: str
    billing_type: BillingType
    measured_unit: str = ""


@dataclass(frozen=True)
class PriceList:
    """A plan: a price for each component type."""

    key: str
    name: str
    unit: BillingUnit
    prices: dict[str, str]
    archived: bool = False

    @property
    def monthly_fee(self) -> Decimal:
        """The sum of the plan's fixed prices, shown beside its name."""
        return Decimal(self.prices.get("base", "0"))


@dataclass(frozen=True)
class Service:
    """An offering of a seller."""

    key: str
    seller: str
    category: str
    name: str
    type: str
    components: tuple[Component, ...]
    plans: tuple[PriceList, ...]

    def plan(self, key: str) -> PriceList:
        """Return the plan with this key."""
        return next(plan for plan in self.plans if plan.key == key)


_FIXED, _USAGE, _LIMIT = BillingType.FIXED, BillingType.USAGE, BillingType.LIMIT
_ONCE, _SWITCH = BillingType.ONE_TIME, BillingType.ON_PLAN_SWITCH

SERVICES = (
    Service(
        "vserver",
        "virmalis",
        "compute",
        "Virmalis vServer",
        "Compute.Instance",
        (
            Component("cores", "Tuumad", _LIMIT, "cores"),
            Component("ram", "Mälu", _LIMIT, "GB"),
            Component("disk", "Kettaruum", _LIMIT, "GB"),
            Component("setup", "Kasutuselevõtt", _ONCE),
            Component("switch", "Paketivahetus", _SWITCH),
        ),
        (
            PriceList(
                "day",
                "Päevane",
                BillingUnit.DAY,
                {"cores": "0.32", "ram": "0.085", "disk": "0.0037", "setup": "5", "switch": "2.5"},
            ),
            PriceList(
                "month",
                "Kuupakett",
                BillingUnit.MONTH,
                {"cores": "8.9", "ram": "2.35", "disk": "0.1", "setup": "5", "switch": "2.5"},
            ),
        ),
    ),
    Service(
        "bucket",
        "virmalis",
        "storage",
        "Virmalis objektihoidla",
        "Storage.Bucket",
        (
            Component("stored", "Hoiustatud andmed", _USAGE, "GiB"),
            Component("requests", "Päringud", _USAGE, "million requests"),
            Component("base", "Kuutasu", _FIXED),
        ),
        (
            PriceList(
                "payg",
                "Kasutuspõhine",
                BillingUnit.MONTH,
                {"stored": "0.0183456789", "requests": "0.3", "base": "1.99"},
            ),
            PriceList(
                "old",
                "Kasutuspõhine (vana)",
                BillingUnit.MONTH,
                {"stored": "0.0249"},
                archived=True,
            ),
        ),
    ),
    Service(
        "cluster",
        "fjordlys",
        "hpc",
        "Fjordlys HPC",
        "Batch.Allocation",
        (
            Component("cpu", "CPU-timer", _USAGE, "core-hours"),
            Component("gpu", "GPU-timer", _USAGE, "GPU-hours"),
        ),
        (
            PriceList(
                "academic", "Akademisk", BillingUnit.QUANTITY, {"cpu": "0.0175", "gpu": "0.89"}
            ),
        ),
    ),
    Service(
        "gpu",
        "fjordlys",
        "compute",
        "Fjordlys GPU-værksted",
        "Compute.Reserved",
        (Component("base", "Reserveret node", _FIXED),),
        (
            PriceList("hourly", "Per time", BillingUnit.HOUR, {"base": "1.245"}),
            PriceList("daily", "Per dag", BillingUnit.DAY, {"base": "24.5"}),
        ),
    ),
    Service(
        "kubernetes",
        "brume",
        "containers",
        "Brume Kubernetes géré",
        "Containers.Cluster",
        (
            Component("base", "Plan de contrôle", _FIXED),
            Component("nodes", "Nœuds", _LIMIT, "nodes"),
            Component("setup", "Mise en service", _ONCE),
            Component("switch", "Changement de formule", _SWITCH),
        ),
        (
            PriceList(
                "half",
                "Quinzaine",
                BillingUnit.HALF_MONTH,
                {"base": "29.5", "nodes": "18.25", "setup": "150", "switch": "25"},
            ),
            PriceList(
                "month",
                "Mensuelle",
                BillingUnit.MONTH,
                {"base": "55", "nodes": "34.9", "setup": "120", "switch": "25"},
            ),
        ),
    ),
    Service(
        "designer",
        "zuraw",
        "software",
        "Żuraw Projektant",
        "Software.Licence",
        (
            Component("base", "Licencja serwera", _FIXED),
            Component("seats", "Stanowiska", _LIMIT, "seats"),
        ),
        (PriceList("quarter", "Kwartalna", BillingUnit.QUARTER, {"base": "210", "seats": "48.6"}),),
    ),
)

BY_KEY = {service.key: service for service in SERVICES}


def add_catalogue(rows: Rows, now: datetime) -> None:
    """Add service providers, categories, offerings, components and plans."""
    created = Period.containing(now).shifted(-18).start
    for seller in RECORDED_PROVIDERS:
        rows.add(
            ServiceProvider, seller, customer_id=identifier(Customer, seller), created_at=created
        )
    for key, title in CATEGORIES.items():
        rows.add(Category, key, title=title)
    for service in SERVICES:
        rows.add(
            Offering,
            service.key,
            name=service.name,
            type=service.type,
            category_id=identifier(Category, service.category),
            customer_id=identifier(Customer, service.seller),
            created_at=created,
        )
        for component in service.components:
            rows.add(
                OfferingComponent,
                f"{service.key}/{component.type}",
                offering_id=identifier(Offering, service.key),
                type=component.type,
                name=component.name,
                billing_type=component.billing_type,
                measured_unit=component.measured_unit,
                article_code=article_code(service, component),
            )
        for plan in service.plans:
            _add_plan(rows, service, plan, created)


def article_code(service: Service, component: Component) -> str:
    """Return the article code of a component."""
    return f"{service.key[:4]}-{component.type}".upper()


def _add_plan(rows: Rows, service: Service, plan: PriceList, created: datetime) -> None:
    key = f"{service.key}/{plan.key}"
    rows.add(
        Plan,
        key,
        offering_id=identifier(Offering, service.key),
        name=plan.name,
        unit=plan.unit,
        unit_price=plan.monthly_fee,
        article_code=key.upper(),
        archived=plan.archived,
        created_at=created,
    )
    fixed = {part.type for part in service.components if part.billing_type is _FIXED}
    for component, price in plan.prices.items():
        rows.add(
            PlanComponent,
            f"{key}/{component}",
            plan_id=identifier(Plan, key),
            component_id=identifier(OfferingComponent, f"{service.key}/{component}"),
            amount=1 if component in fixed else 0,
            price=Decimal(price),
        )
