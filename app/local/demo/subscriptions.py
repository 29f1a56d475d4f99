"""The subscriptions of the demonstration's customers, and their changes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.billing.periods import Period
from app.catalogue.models import Offering, Plan, Resource
from app.customers.models import Project
from app.local.demo.catalogue import BY_KEY, PriceList, Service
from app.local.demo.organizations import ORGANIZATIONS
from app.local.demo.rows import Rows, identifier

PROJECTS = {
    key: (organization.key, name)
    for organization in ORGANIZATIONS
    for key, name in organization.projects
}
"""By project key: the key of its organization, and its name."""

COURSE_ACCOUNTS = 200
"""Student accounts; each adds two items to one invoice."""


@dataclass(frozen=True)
class When:
    """A time relative to the current month; days count from 1, hours from 0."""

    months_ago: int
    day: int = 1
    hour: int = 0

    def seen_from(self, running: Period) -> datetime:
        """Return the time for a current month."""
        start = running.shifted(-self.months_ago).start
        return start + timedelta(days=self.day - 1, hours=self.hour)


@dataclass(frozen=True)
class Subscription:
    """A resource, from its start to its end, if any."""

    name: str
    project: str
    service: str
    plan: str
    starts: When = When(14)
    ends: When | None = None
    limits: dict[str, int] = field(default_factory=dict)
    """By component that is charged by limit."""
    grows: When | None = None
    grown: dict[str, int] = field(default_factory=dict)
    """The limits after the increase."""
    usage: dict[str, str] = field(default_factory=dict)
    """The usual monthly usage by component that is charged by usage."""
    switches: When | None = None
    """When it left `former_plan`: the start of a month."""
    former_plan: str = ""

    @property
    def key(self) -> str:
        """The key of its row."""
        return f"{self.project}/{self.name}"

    @property
    def of(self) -> Service:
        """The offering."""
        return BY_KEY[self.service]

    def price_list(self, period: Period, running: Period) -> PriceList:
        """Return the plan in a period."""
        if self.switches and period.start < self.switches.seen_from(running):
            return self.of.plan(self.former_plan)
        return self.of.plan(self.plan)


_SUBSCRIPTIONS = (
    Subscription(
        "arhiiv-veeb",
        "library",
        "vserver",
        "month",
        starts=When(14, 9),
        limits={"cores": 4, "ram": 16, "disk": 200},
        grows=When(5, 11),
        grown={"cores": 8, "ram": 32, "disk": 500},
        switches=When(8),
        former_plan="day",
    ),
    Subscription(
        "arhiiv-failid",
        "library",
        "bucket",
        "payg",
        usage={"stored": "18450", "requests": "3.7"},
    ),
    Subscription("genoom-2", "genome", "cluster", "academic", usage={"cpu": "5200", "gpu": "61"}),
    Subscription("eiskern", "ice", "cluster", "academic", usage={"cpu": "11800", "gpu": "402"}),
    Subscription(
        "eiskern-sichtung", "ice", "gpu", "daily", starts=When(4, 6), ends=When(2, 19, 12)
    ),
    Subscription(
        "wetter-tagwache", "weather", "gpu", "hourly", starts=When(3, 12, 7), ends=When(3, 14, 18)
    ),
    Subscription(
        "wetterdienst",
        "weather",
        "kubernetes",
        "half",
        starts=When(7, 16),
        limits={"nodes": 3},
        grows=When(1, 16),
        grown={"nodes": 5},
    ),
    Subscription("CAD-Server", "plant", "designer", "quarter", limits={"seats": 25}),
    Subscription(
        "Teikningar",
        "fleet",
        "designer",
        "quarter",
        starts=When(9, 15),
        limits={"seats": 4},
    ),
    Subscription(
        "dashboards-live",
        "dash",
        "kubernetes",
        "month",
        limits={"nodes": 6},
        switches=When(3),
        former_plan="half",
    ),
    Subscription(
        "Μετρήσεις ανέμου",
        "turbines",
        "bucket",
        "payg",
        starts=When(5, 2),
        usage={"stored": "911", "requests": "41.5"},
    ),
    Subscription(
        "reservas-loja",
        "booking",
        "vserver",
        "month",
        ends=When(6, 18),
        limits={"cores": 2, "ram": 4, "disk": 40},
    ),
    Subscription(
        "Sauvegardes « été »",
        "brume-lab",
        "bucket",
        "payg",
        starts=When(10, 14),
        usage={"stored": "2600", "requests": "0.09"},
    ),
)


def subscriptions() -> Iterator[Subscription]:
    """Yield all subscriptions."""
    yield from _SUBSCRIPTIONS
    for number in range(1, COURSE_ACCOUNTS + 1):
        yield Subscription(
            f"õpilane-{number:03}",
            "course",
            "cluster",
            "academic",
            starts=When(2, 3),
            ends=When(2, 26),
            usage={"cpu": "37", "gpu": "1.3"},
        )


def add_resources(rows: Rows, now: datetime) -> None:
    """Add a resource for each subscription."""
    running = Period.containing(now)
    for subscription in subscriptions():
        rows.add(
            Resource,
            subscription.key,
            name=subscription.name,
            offering_id=identifier(Offering, subscription.service),
            plan_id=identifier(Plan, f"{subscription.service}/{subscription.plan}"),
            project_id=identifier(Project, subscription.project),
            created_at=subscription.starts.seen_from(running),
        )


def buyer_of(subscription: Subscription) -> str:
    """Return the key of the customer of a subscription."""
    return PROJECTS[subscription.project][0]
