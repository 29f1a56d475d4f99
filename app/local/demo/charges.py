"""The charges of a subscription in a month: line items by the rules of billing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import BillingType, BillingUnit
from app.billing.periods import Period
from app.billing.proration import LimitPeriod, charged_limit, charged_quantity, quarter_bounds
from app.catalogue.models import Offering, Plan, PlanComponent, Resource, ServiceProvider
from app.customers.models import Project
from app.local.demo.catalogue import RECORDED_PROVIDERS, Component, PriceList, article_code
from app.local.demo.organizations import ORGANIZATIONS
from app.local.demo.rows import identifier, seeded_random
from app.local.demo.subscriptions import PROJECTS, Subscription

_NAMES = {organization.key: organization.name for organization in ORGANIZATIONS}
_MICROSECOND = timedelta(microseconds=1)
_TEN_PLACES = Decimal("1e-10")


@dataclass(frozen=True)
class Charge:
    """A line item without its invoice."""

    subscription: Subscription
    component: Component
    plan: PriceList
    unit: BillingUnit
    quantity: Decimal
    start: datetime
    end: datetime
    details: dict[str, Any]
    currency: Currency

    @property
    def unit_price(self) -> Decimal:
        """The price of one unit."""
        return Decimal(self.plan.prices[self.component.type])

    @property
    def price(self) -> Decimal:
        """The price of the line, without tax."""
        return money.item_price(self.unit_price, self.quantity, self.currency)

    def values(self) -> dict[str, Any]:
        """Return the columns of the item, without its invoice."""
        subscription = self.subscription
        service = subscription.of
        name = f"{subscription.name} ({service.name} / {self.plan.name}), {self.component.name}"
        return {
            "name": name,
            "unit_price": self.unit_price,
            "quantity": self.quantity,
            "unit": self.unit,
            "measured_unit": self.component.measured_unit,
            "article_code": article_code(service, self.component),
            "start": self.start,
            "end": self.end,
            "project_id": identifier(Project, subscription.project),
            "project_name": PROJECTS[subscription.project][1],
            "project_uuid": identifier(Project, subscription.project),
            "resource_id": identifier(Resource, subscription.key),
            "offering_id": identifier(Offering, service.key),
            "plan_component_id": identifier(
                PlanComponent, f"{service.key}/{self.plan.key}/{self.component.type}"
            ),
            "details": self.details,
            "credit": False,
            "customer_credit_id": None,
        }


def charges(
    subscription: Subscription, period: Period, now: datetime, currency: Currency
) -> Iterator[Charge]:
    """Yield the charges of a subscription in a period up to the current one."""
    running = Period.containing(now)
    begun = subscription.starts.seen_from(running)
    ended = subscription.ends.seen_from(running) - _MICROSECOND if subscription.ends else None
    start = max(begun, period.start)
    end = min(ended, period.end) if ended else period.end
    if end < start:
        return
    plan = subscription.price_list(period, running)
    for component in subscription.of.components:
        if component.type not in plan.prices:
            continue
        for unit, quantity, first, last, extra in _measured(
            subscription, component, plan, (start, end), now
        ):
            details = {**_details(subscription, component, plan), **extra}
            yield Charge(
                subscription, component, plan, unit, quantity, first, last, details, currency
            )


_Measure = tuple[BillingUnit, Decimal, datetime, datetime, dict[str, Any]]


def _measured(
    subscription: Subscription,
    component: Component,
    plan: PriceList,
    time: tuple[datetime, datetime],
    now: datetime,
) -> Iterator[_Measure]:
    start, end = time
    if component.billing_type is BillingType.USAGE:
        quantity = _used(subscription, component, start, now)
        if quantity:
            yield BillingUnit.QUANTITY, quantity, start, end, {}
    elif component.billing_type is BillingType.ONE_TIME:
        if start == subscription.starts.seen_from(Period.containing(now)):
            yield BillingUnit.QUANTITY, Decimal(1), start, end, {}
    elif component.billing_type is BillingType.ON_PLAN_SWITCH:
        if subscription.switches and start == subscription.switches.seen_from(
            Period.containing(now)
        ):
            yield BillingUnit.QUANTITY, Decimal(1), start, end, {}
    else:
        yield from _standing(subscription, component, plan, time, now)


def _standing(
    subscription: Subscription,
    component: Component,
    plan: PriceList,
    time: tuple[datetime, datetime],
    now: datetime,
) -> Iterator[_Measure]:
    """Measure fixed prices and limits, which are charged while the resource exists."""
    start, end = time
    if plan.unit is BillingUnit.QUARTER:
        # A quarter is charged in advance: in its first month, or in the month of the creation.
        first, last = quarter_bounds(start.date())
        if start.date() != first and start != subscription.starts.seen_from(Period.containing(now)):
            return
        end = Period.containing(last).end
    if component.billing_type is BillingType.FIXED:
        yield plan.unit, charged_quantity(plan.unit, start, end), start, end, {}
        return
    periods = _limits(subscription, component, start, end, Period.containing(now))
    details = {"resource_limit_periods": [period.to_details(plan.unit) for period in periods]}
    yield plan.unit, charged_limit(plan.unit, periods), start, end, details


def _limits(
    subscription: Subscription,
    component: Component,
    start: datetime,
    end: datetime,
    running: Period,
) -> list[LimitPeriod]:
    before = subscription.limits[component.type]
    change = subscription.grows.seen_from(running) if subscription.grows else None
    if change is None or end < change:
        return [LimitPeriod(start, end, before)]
    after = subscription.grown[component.type]
    if change <= start:
        return [LimitPeriod(start, end, after)]
    return [
        LimitPeriod(start, change - _MICROSECOND, before),
        LimitPeriod(change, end, after),
    ]


def _used(
    subscription: Subscription, component: Component, start: datetime, now: datetime
) -> Decimal:
    usual = subscription.usage.get(component.type)
    if usual is None:
        return Decimal(0)
    swing = seeded_random(subscription.key, component.type, start.year, start.month)
    period = Period.containing(start)
    so_far = Decimal(1)
    if period == Period.containing(now):
        so_far = charged_quantity(BillingUnit.MONTH, period.start, now)
    with localcontext(money.EXACT):
        used = Decimal(usual) * swing.randrange(600_000, 1_400_001) / 1_000_003 * so_far
        return used.quantize(_TEN_PLACES)


def _details(subscription: Subscription, component: Component, plan: PriceList) -> dict[str, Any]:
    service = subscription.of
    provider = {"service_provider_name": _NAMES[service.seller]}
    if service.seller in RECORDED_PROVIDERS:
        provider["service_provider_uuid"] = str(identifier(ServiceProvider, service.seller))
    plan_key = f"{service.key}/{plan.key}"
    return {
        "resource_name": subscription.name,
        "resource_uuid": str(identifier(Resource, subscription.key)),
        "plan_name": plan.name,
        "plan_uuid": str(identifier(Plan, plan_key)),
        "offering_type": service.type,
        "offering_name": service.name,
        "offering_uuid": str(identifier(Offering, service.key)),
        **provider,
        "plan_component_id": identifier(PlanComponent, f"{plan_key}/{component.type}"),
        "offering_component_type": component.type,
        "offering_component_name": component.name,
    }
