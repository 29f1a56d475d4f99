"""Generated data in the text format of COPY: the same for the same shape and month."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from app.billing.periods import Period
from app.identity.tokens import token_digest
from benchmarks.shape import (
    FIRST_NUMBER,
    MONTHS,
    OWNED_CUSTOMERS,
    OWNER_KEY,
    SEED,
    STAFF_KEY,
    Shape,
    months,
)

Table = tuple[str, tuple[str, ...]]
"""A table's name and the columns that are given; triggers and defaults fill the others."""

USERS: Final[Table] = ("users", ("id", "uuid", "username", "full_name", "email", "is_staff",
                                 "is_support", "is_active", "created_at"))  # fmt: skip
TOKENS: Final[Table] = ("tokens", ("id", "uuid", "user_id", "digest", "created_at"))
CUSTOMERS: Final[Table] = ("customers", (
    "id", "uuid", "name", "email", "phone_number", "address", "postal", "country", "bank_name",
    "bank_account", "vat_code", "default_tax_percent", "accounting_start_date", "archived",
    "created_at"))  # fmt: skip
ROLES: Final[Table] = ("customer_roles", ("id", "uuid", "user_id", "customer_id", "role",
                                          "is_active", "created_at"))  # fmt: skip
PROJECTS: Final[Table] = ("projects", ("id", "uuid", "customer_id", "name", "is_removed",
                                       "created_at"))  # fmt: skip
PROVIDERS: Final[Table] = ("service_providers", ("id", "uuid", "customer_id", "created_at"))
CATEGORIES: Final[Table] = ("categories", ("id", "uuid", "title"))
OFFERINGS: Final[Table] = ("offerings", ("id", "uuid", "name", "type", "category_id",
                                         "customer_id", "created_at"))  # fmt: skip
COMPONENTS: Final[Table] = ("offering_components", ("id", "uuid", "offering_id", "type", "name",
                                                    "billing_type", "measured_unit"))  # fmt: skip
PLANS: Final[Table] = ("plans", ("id", "uuid", "offering_id", "name", "unit", "unit_price",
                                 "archived", "created_at"))  # fmt: skip
PLAN_COMPONENTS: Final[Table] = ("plan_components", ("id", "uuid", "plan_id", "component_id",
                                                     "amount", "price"))  # fmt: skip
RESOURCES: Final[Table] = ("resources", ("id", "uuid", "name", "offering_id", "plan_id",
                                         "project_id", "created_at"))  # fmt: skip
INVOICES: Final[Table] = ("invoices", (
    "id", "uuid", "number", "customer_id", "year", "month", "state", "tax_percent", "created",
    "invoice_date", "due_date", "backend_id", "reference_number"))  # fmt: skip
ITEMS: Final[Table] = ("invoice_items", (
    "id", "uuid", "invoice_id", "name", "unit_price", "quantity", "unit", "measured_unit",
    "article_code", "start", "end", "project_id", "project_name", "project_uuid", "resource_id",
    "offering_id", "plan_component_id", "details"))  # fmt: skip

TABLES: Final = (USERS, TOKENS, CUSTOMERS, ROLES, PROJECTS, PROVIDERS, CATEGORIES, OFFERINGS,
                 COMPONENTS, PLANS, PLAN_COMPONENTS, RESOURCES, INVOICES, ITEMS)  # fmt: skip
"""Every table with rows; a table comes after those that it references."""

_LOW = (1 << 128) - 1
_PIECE = 2_000
"""Rows that are handed on at a time."""
_SELLERS = ("Nordhav Skydrift AS", "Sinilahti Pilvi Oy", "Montclar Nuage SAS")
_CATEGORIES = ("Virtual machines", "Storage", "High-performance computing")
_COMPONENTS = (("cores", "Processor cores", "cores"), ("ram", "Memory", "GB"))
_PLANS = (("Standard", "month"), ("Reserved capacity", "month"))
_OFFERINGS = 20
_TAX = ("20.00", "24.00", "25.50", "0.00")
_COUNTRIES = ("EE", "FI", "SE", "NO", "DK", "LV", "LT", "DE", "FR", "PL")
_TOWNS = ("Kaldvik", "Merelaid", "Saarevik", "Brunnsta", "Lindhaven", "Vesiranta", "Dolany")


@dataclass(frozen=True)
class _Charge:
    """The values that an item takes from the catalogue."""

    offering: int
    component: int
    plan: int
    plan_component: int
    label: str
    measured_unit: str
    unit_price: str
    details: str
    """The part of the details that does not depend on the resource, as JSON without its end."""


class Generator:
    """Yields the rows of one data set table by table, each asked for in the order of `TABLES`."""

    def __init__(self, shape: Shape, running: Period) -> None:
        self.shape = shape
        self.months = months(running)
        self._random = Random(SEED)
        self._since = self.months[0].start.isoformat()
        self._projects = [self._uuid() for _ in range(shape.customers)]
        self._first_resource = [0]
        for customer in range(1, shape.customers + 1):
            used = min(shape.items_of(customer), 100)
            self._first_resource.append(self._first_resource[-1] + used)
        self._resources = [self._uuid() for _ in range(self._first_resource[-1])]
        self._catalogue = _Catalogue(self._uuid, self._since, shape.customers)

    def small(self) -> Iterator[tuple[Table, list[str]]]:
        """Yield every table but invoices and items, with its rows."""
        yield (
            USERS,
            [
                f"1\t{self._uuid()}\tstaff\tStaff\tstaff@example.com\tt\tf\tt\t{self._since}",
                f"2\t{self._uuid()}\towner\tOwner\towner@example.com\tf\tf\tt\t{self._since}",
            ],
        )
        yield (
            TOKENS,
            [
                f"{user}\t{self._uuid()}\t{user}\t{token_digest(key)}\t{self._since}"
                for user, key in enumerate((STAFF_KEY, OWNER_KEY), 1)
            ],
        )
        sellers = enumerate(_SELLERS, self.shape.customers + 1)
        yield (
            CUSTOMERS,
            [
                *(
                    self._customer(n, f"Customer {n:06}")
                    for n in range(1, self.shape.customers + 1)
                ),
                *(self._customer(n, name) for n, name in sellers),
            ],
        )
        yield (
            ROLES,
            [
                f"{n}\t{self._uuid()}\t2\t{n}\towner\tt\t{self._since}"
                for n in range(1, OWNED_CUSTOMERS + 1)
            ],
        )
        yield (
            PROJECTS,
            [
                f"{n}\t{uuid}\t{n}\t{_project_name(n)}\tf\t{self._since}"
                for n, uuid in enumerate(self._projects, 1)
            ],
        )
        yield from self._catalogue.rows()
        yield RESOURCES, list(self._resource_rows())

    def month(self, index: int) -> "Month":
        """Return the invoices and items of a month; to be asked for in order."""
        first = 1 + sum(len(self.shape.invoiced(MONTHS - 1 - i)) for i in range(index))
        return Month(self, index, first)

    def _uuid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _customer(self, number: int, name: str) -> str:
        random = self._random
        country = _COUNTRIES[number % len(_COUNTRIES)]
        return "\t".join((
            str(number), self._uuid(), f"{name} {_TOWNS[number % len(_TOWNS)]} Ltd",
            f"billing{number}@customer.example", f"+372 5{random.randrange(10**7):07}",
            f"Harbour Street {number % 200 + 1}, {_TOWNS[number % len(_TOWNS)]}",
            f"{random.randrange(10**5):05}", country, "Example Bank",
            f"{country}{random.randrange(10**18):018}", f"{country}{100_000_000 + number}",
            _TAX[number % len(_TAX)], self._since, "f", self._since,
        ))  # fmt: skip

    def _resource_rows(self) -> Iterator[str]:
        for customer in range(1, self.shape.customers + 1):
            first, end = self._first_resource[customer - 1 : customer + 1]
            for position in range(end - first):
                charge = self._catalogue.charge(customer, position)
                yield (
                    f"{first + position + 1}\t{self._resources[first + position]}"
                    f"\t{_resource_name(customer, position)}\t{charge.offering}\t{charge.plan}"
                    f"\t{customer}\t{self._since}"
                )


class Month:
    """The invoices of one month and their items."""

    def __init__(self, generator: Generator, index: int, first: int) -> None:
        self._of = generator
        self._age = MONTHS - 1 - index
        self._period = generator.months[index]
        self._customers = generator.shape.invoiced(self._age)
        self._first = first
        """The id of the first invoice."""

    def parts(self, invoices: int) -> Iterator[list[tuple[int, int]]]:
        """Yield the month's invoices, so many at a time, as their ids and customers."""
        numbered = list(enumerate(self._customers, self._first))
        for start in range(0, len(numbered), invoices):
            yield numbered[start : start + invoices]

    def invoices(self, part: list[tuple[int, int]]) -> list[str]:
        """Return the rows of the part's invoices."""
        return [self._invoice(invoice, customer) for invoice, customer in part]

    def items(self, part: list[tuple[int, int]], first: int) -> Iterator[list[str]]:
        """Yield the rows of the part's items, some at a time; `first` is the id of the first."""
        rows: list[str] = []
        for invoice, customer in part:
            for row in self._items(invoice, customer, first):
                rows.append(row)
                if len(rows) == _PIECE:
                    yield rows
                    rows = []
            first += self._of.shape.items_of(customer)
        if rows:
            yield rows

    def _invoice(self, invoice: int, customer: int) -> str:
        period, state = self._period, self._of.shape.state(customer, self._age)
        issued = period.shifted(1).first_day
        dates = "\\N\t\\N" if state == "pending" else f"{issued}\t{issued + timedelta(days=30)}"
        return (
            f"{invoice}\t{self._of._uuid()}\t{FIRST_NUMBER + invoice - 1}\t{customer}"
            f"\t{period.year}\t{period.month}\t{state}\t{_TAX[customer % len(_TAX)]}"
            f"\t{period.first_day}\t{dates}\tERP-{invoice:07}\tRF{invoice:09}"
        )

    def _items(self, invoice: int, customer: int, first: int) -> Iterator[str]:
        of, random = self._of, self._of._random
        start, end = self._period.start.isoformat(), self._period.end.isoformat()
        first_resource, next_resource = of._first_resource[customer - 1 : customer + 1]
        resources = next_resource - first_resource
        project, project_uuid = _project_name(customer), of._projects[customer - 1]
        fixed_price = None
        if of.shape.is_dear(customer, self._age):
            fixed_price = "12345.6789"
        elif customer == of.shape.huge_customer:  # its total must not be dear
            fixed_price = "0.0123456789"
        for number in range(of.shape.items_of(customer)):
            position = number % resources
            resource = first_resource + position
            charge = of._catalogue.charge(customer, position)
            name = _resource_name(customer, position)
            price = fixed_price or charge.unit_price
            bits = random.getrandbits(152)
            quantity = (bits >> 128) % 20_000 + 1
            yield (
                f"{first + number}\t{bits & _LOW:032x}\t{invoice}\t{name} ({charge.label})"
                f"\t{price}\t{quantity // 1000}.{quantity % 1000 + 1000:04}\tmonth"
                f"\t{charge.measured_unit}\tCLOUD-{charge.plan_component:04}\t{start}\t{end}"
                f"\t{customer}\t{project}\t{project_uuid}\t{resource + 1}\t{charge.offering}"
                f'\t{charge.plan_component}\t{charge.details}, "resource_name": "{name}", '
                f'"resource_uuid": "{of._resources[resource]}"}}'
            )


class _Catalogue:
    """The catalogue, and the offerings of resources."""

    def __init__(self, new_uuid: Callable[[], str], since: str, customers: int) -> None:
        self._since = since
        self._first_seller = customers + 1
        self._providers = [new_uuid() for _ in _SELLERS]
        self._categories = [new_uuid() for _ in _CATEGORIES]
        self._offerings = [new_uuid() for _ in range(_OFFERINGS)]
        self._components = [new_uuid() for _ in range(_OFFERINGS * len(_COMPONENTS))]
        self._plans = [new_uuid() for _ in range(_OFFERINGS * len(_PLANS))]
        self._prices = [new_uuid() for _ in range(len(self._plans) * len(_COMPONENTS))]
        self._charges = [self._charge(number) for number in range(len(self._prices))]

    def charge(self, customer: int, position: int) -> _Charge:
        """Return the unit by which a customer's resource is charged."""
        return self._charges[(customer * 7 + position) % len(self._charges)]

    def rows(self) -> Iterator[tuple[Table, list[str]]]:
        """Yield the tables of the catalogue with their rows."""
        since = self._since
        yield (
            PROVIDERS,
            [
                f"{n}\t{uuid}\t{self._first_seller + n - 1}\t{since}"
                for n, uuid in enumerate(self._providers, 1)
            ],
        )
        yield (
            CATEGORIES,
            [
                f"{n}\t{uuid}\t{title}"
                for n, (uuid, title) in enumerate(
                    zip(self._categories, _CATEGORIES, strict=True), 1
                )
            ],
        )
        yield (
            OFFERINGS,
            [
                f"{n}\t{uuid}\t{_offering_name(n)}\tCompute.Instance"
                f"\t{(n - 1) % len(_CATEGORIES) + 1}"
                f"\t{self._first_seller + (n - 1) % len(_SELLERS)}\t{since}"
                for n, uuid in enumerate(self._offerings, 1)
            ],
        )
        yield (
            COMPONENTS,
            [
                f"{n}\t{uuid}\t{(n - 1) // len(_COMPONENTS) + 1}"
                f"\t{_COMPONENTS[(n - 1) % 2][0]}\t{_COMPONENTS[(n - 1) % 2][1]}\tlimit"
                f"\t{_COMPONENTS[(n - 1) % 2][2]}"
                for n, uuid in enumerate(self._components, 1)
            ],
        )
        yield (
            PLANS,
            [
                f"{n}\t{uuid}\t{(n - 1) // len(_PLANS) + 1}\t{_PLANS[(n - 1) % 2][0]}"
                f"\t{_PLANS[(n - 1) % 2][1]}\t0\tf\t{since}"
                for n, uuid in enumerate(self._plans, 1)
            ],
        )
        yield (
            PLAN_COMPONENTS,
            [
                f"{charge.plan_component}\t{uuid}\t{charge.plan}"
                f"\t{charge.component}\t1\t{charge.unit_price}"
                for charge, uuid in zip(self._charges, self._prices, strict=True)
            ],
        )

    def _charge(self, number: int) -> _Charge:
        plan, component = divmod(number, len(_COMPONENTS))
        offering = plan // len(_PLANS)
        plan_name, _ = _PLANS[plan % len(_PLANS)]
        kind, component_name, measured_unit = _COMPONENTS[component]
        seller = offering % len(_SELLERS)
        details = (
            f'{{"plan_name": "{plan_name}", "plan_uuid": "{self._plans[plan]}", '
            f'"offering_type": "Compute.Instance", "offering_name": "'
            f'{_offering_name(offering + 1)}", "offering_uuid": "{self._offerings[offering]}", '
            f'"service_provider_name": "{_SELLERS[seller]}", '
            f'"service_provider_uuid": "{self._providers[seller]}", '
            f'"plan_component_id": {number + 1}, "offering_component_type": "{kind}", '
            f'"offering_component_name": "{component_name}"'
        )
        label = f"{_offering_name(offering + 1)} / {plan_name}, {component_name}"
        price = f"{number % 17 + 1}.{number * 37 % 100:02}00000000"
        return _Charge(
            offering=offering + 1,
            component=offering * len(_COMPONENTS) + component + 1,
            plan=plan + 1,
            plan_component=number + 1,
            label=label,
            measured_unit=measured_unit,
            unit_price=price,
            details=details,
        )


def _project_name(customer: int) -> str:
    return f"Research platform {customer:06}"


def _resource_name(customer: int, position: int) -> str:
    return f"vm-{customer:06}-{position:03}.cloud.example"


def _offering_name(offering: int) -> str:
    return f"Virtual private server {offering:02}"
