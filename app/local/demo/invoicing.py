"""Thirteen months of invoices, with payments and compensations."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any

from app import clock
from app.billing import money
from app.billing.currencies import Currency
from app.billing.enums import InvoiceState, PaymentType
from app.billing.periods import Period, due_date, last_thirteen_periods
from app.customers.models import Customer
from app.invoices.models import Invoice, InvoiceItem
from app.local.demo.charges import Charge, charges
from app.local.demo.credits import DemoCredits, given_back
from app.local.demo.organizations import ORGANIZATIONS, Organization
from app.local.demo.rows import Rows, identifier, seeded_random
from app.local.demo.subscriptions import Subscription, buyer_of, subscriptions
from app.payments.models import Payment, PaymentProfile

_CANCELED = {
    ("farol", 6): "The contract ended in dispute; settled outside of this service.",
    ("brume", 7): "Issued twice by mistake.",
}
_REFUNDED = ("gletscher", 3)
"""The customer with a refund for an outage, and how many months ago."""

_FIRST_NUMBER = 1001
"""Below the sequence, so that its numbers stay free for imports beside a demonstration."""

_PAYMENT_INTERVAL_DAYS = 30


def add_invoices(rows: Rows, now: datetime, currency: Currency) -> None:
    """Add invoices with items and payments, oldest first, and the credits."""
    bought: defaultdict[str, list[Subscription]] = defaultdict(list)
    for subscription in subscriptions():
        bought[buyer_of(subscription)].append(subscription)
    running = Period.containing(now)
    credit = DemoCredits(rows, running)
    for period in last_thirteen_periods(now.date()):
        age = (running.year - period.year) * 12 + running.month - period.month
        for organization in ORGANIZATIONS:
            lines = [
                charge
                for subscription in bought[organization.key]
                for charge in charges(subscription, period, now, currency)
            ]
            if lines:
                _Month(rows, organization, period, age, currency).add(lines, credit)
    credit.add()


class _Month:
    """The invoice of a customer and a month."""

    def __init__(
        self, rows: Rows, organization: Organization, period: Period, age: int, currency: Currency
    ) -> None:
        self._rows = rows
        self._currency = currency
        self._organization = organization
        self._period = period
        self._age = age
        self._key = f"{organization.key}/{age}"
        self._items: list[dict[str, Any]] = []

    def add(self, lines: list[Charge], credit: DemoCredits) -> None:
        """Add the invoice with a line for each charge and each compensation."""
        state = self._state()
        issued = None if state is InvoiceState.PENDING else self._period.shifted(1).first_day
        invoice = self._rows.add(
            Invoice,
            self._key,
            number=_FIRST_NUMBER + len(self._rows.rows_of(Invoice)),
            customer_id=identifier(Customer, self._organization.key),
            year=self._period.year,
            month=self._period.month,
            state=state,
            tax_percent=Decimal(self._organization.tax_percent),
            created=self._period.first_day,
            invoice_date=issued,
            due_date=due_date(issued, _PAYMENT_INTERVAL_DAYS) if issued else None,
            cancel_reason=_CANCELED.get((self._organization.key, self._age), ""),
            **self._references(issued),
        )
        for line in lines:
            self._add_item(invoice, line.values())
        for compensation in credit.pay(self._key, self._age, lines):
            self._add_item(invoice, compensation)
        if (self._organization.key, self._age) == _REFUNDED:
            self._add_item(invoice, _refund(lines[0]))
        if state is InvoiceState.PAID and issued:
            self._add_payment(invoice, issued)

    def _state(self) -> InvoiceState:
        if self._age == 0:
            return InvoiceState.PENDING
        if (self._organization.key, self._age) in _CANCELED:
            return InvoiceState.CANCELED
        if self._organization.profile in (PaymentType.FIXED_PRICE, PaymentType.GATEWAY_MONTHLY):
            return InvoiceState.PAID
        unpaid = self._age == 1 or self._organization.pays_late
        return InvoiceState.CREATED if unpaid else InvoiceState.PAID

    def _references(self, issued: date | None) -> dict[str, str]:
        if issued is None:
            return {"backend_id": "", "payment_url": "", "reference_number": ""}
        name = f"{self._period.year}{self._period.month:02}-{self._organization.key}"
        online = self._organization.profile is PaymentType.GATEWAY_MONTHLY
        return {
            "backend_id": f"erp-{name}",
            "payment_url": f"https://pay.example.com/{name}" if online else "",
            "reference_number": str(seeded_random(self._key).randrange(10_000_000, 99_999_999)),
        }

    def _add_item(self, invoice: object, values: dict[str, Any]) -> None:
        key = f"{self._key}/{len(self._items)}"
        self._rows.add(InvoiceItem, key, invoice_id=invoice, **values)
        self._items.append(values)

    def _add_payment(self, invoice: object, issued: date) -> None:
        # A fixed price contract has no payments of single invoices.
        if self._organization.profile is PaymentType.FIXED_PRICE:
            return
        with localcontext(money.EXACT):
            price = sum(
                money.item_price(item["unit_price"], item["quantity"], self._currency)
                for item in self._items
            )
        total = money.with_tax(Decimal(price), Decimal(self._organization.tax_percent))
        days = seeded_random(self._key, "paid").randrange(3, 28)
        paid = min(issued + timedelta(days=days), clock.today())
        self._rows.add(
            Payment,
            self._key,
            profile_id=identifier(PaymentProfile, self._organization.key),
            invoice_id=invoice,
            date_of_payment=paid,
            sum=money.round_half_up(total, self._currency),
            created_at=datetime.combine(paid, self._period.start.timetz()),
        )


def _refund(line: Charge) -> dict[str, Any]:
    return given_back(line, "Gutschrift: Ausfall im Rechenraum", Decimal("45.5"))
