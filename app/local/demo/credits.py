"""The credit of a customer and the share of one of its projects, spent in monthly parts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.billing.enums import BillingUnit, CreditTransactionType
from app.billing.periods import Period
from app.catalogue.models import Offering
from app.credits.models import (
    CreditTransaction,
    CustomerCredit,
    CustomerCreditOffering,
    ProjectCredit,
)
from app.customers.models import Customer, Project
from app.invoices.models import Invoice, InvoiceItem
from app.local.demo.charges import Charge
from app.local.demo.rows import Rows, identifier

CREDITED: Final = "tammelinna"
CREDITED_PROJECT: Final = "genome"
CREDITED_SERVICES: Final = ("cluster", "vserver")
_GRANTED: Final = Decimal(2000)
_GRANTED_TO_PROJECT: Final = Decimal(600)
_SPENT_A_MONTH: Final = Decimal(150)
_SPENT_A_MONTH_BY_PROJECT: Final = Decimal(60)
_SINCE: Final = 8
"""Months since the grant."""


@dataclass(frozen=True)
class _Balance:
    """The customer's credit or the project's share, in its ledger."""

    table: type[CustomerCredit] | type[ProjectCredit]
    key: str
    project: UUID | None

    @property
    def uuid(self) -> UUID:
        """The UUID of the credit."""
        return identifier(self.table, self.key)


_CUSTOMER: Final = _Balance(CustomerCredit, CREDITED, None)
_PROJECT: Final = _Balance(ProjectCredit, CREDITED_PROJECT, identifier(Project, CREDITED_PROJECT))


class DemoCredits:
    """Grants the credits, pays lines of issued invoices, and writes each movement."""

    def __init__(self, rows: Rows, running: Period) -> None:
        self._rows = rows
        self._granted = running.shifted(-_SINCE)
        self._running = running
        self._left = {_CUSTOMER: _GRANTED, _PROJECT: _GRANTED_TO_PROJECT}
        for balance, amount in self._left.items():
            self._move(balance, amount, CreditTransactionType.STAFF_GRANT, self._granted)

    def pay(self, key: str, age: int, lines: Iterable[Charge]) -> Iterator[dict[str, Any]]:
        """Yield the compensations of the lines of an issued invoice, whose items have the keys.

        The project's share pays lines of its project, and the customer's credit falls by the same.
        """
        if not key.startswith(f"{CREDITED}/") or not 0 < age <= _SINCE:
            return
        allowance = {
            _CUSTOMER: min(_SPENT_A_MONTH, self._left[_CUSTOMER]),
            _PROJECT: min(_SPENT_A_MONTH_BY_PROJECT, self._left[_PROJECT]),
        }
        paid = dict.fromkeys(allowance, Decimal(0))
        for number, line in enumerate(lines):
            if line.subscription.service not in CREDITED_SERVICES:
                continue
            balances = [_CUSTOMER]
            if line.subscription.project == CREDITED_PROJECT:
                balances.append(_PROJECT)
            amount = min(line.price, *(allowance[each] - paid[each] for each in balances))
            if amount <= 0:
                continue
            for balance in balances:
                paid[balance] += amount
            yield _compensation(line, amount, identifier(InvoiceItem, f"{key}/{number}"))
        self._draw(key, self._running.shifted(-age), paid)

    def add(self) -> None:
        """Add the credits with their remaining values."""
        terms = {"end_date": self._running.shifted(10).first_day, "created_at": self._granted.start}
        credit = self._rows.add(
            CustomerCredit,
            CREDITED,
            customer_id=identifier(Customer, CREDITED),
            value=self._left[_CUSTOMER],
            expected_consumption=Decimal(100),
            grace_coefficient=Decimal(20),
            **terms,
        )
        for service in CREDITED_SERVICES:
            self._rows.link(
                CustomerCreditOffering,
                customer_credit_id=credit,
                offering_id=identifier(Offering, service),
            )
        self._rows.add(
            ProjectCredit,
            CREDITED_PROJECT,
            project_id=identifier(Project, CREDITED_PROJECT),
            value=self._left[_PROJECT],
            **terms,
        )

    def _draw(self, key: str, period: Period, paid: dict[_Balance, Decimal]) -> None:
        for balance, amount in paid.items():
            if amount:
                self._left[balance] -= amount
                self._move(
                    balance, -amount, CreditTransactionType.COMPENSATION, period, invoice=key
                )

    def _move(
        self,
        balance: _Balance,
        amount: Decimal,
        kind: CreditTransactionType,
        period: Period,
        invoice: str = "",
    ) -> None:
        of_project = balance.project is not None
        self._rows.add(
            CreditTransaction,
            f"{balance.table.__tablename__}/{invoice}",
            customer_uuid=identifier(Customer, CREDITED),
            customer_credit_uuid=None if of_project else balance.uuid,
            project_credit_uuid=balance.uuid if of_project else None,
            project_uuid=balance.project,
            amount=amount,
            transaction_type=kind,
            billing_period=period.first_day if invoice else None,
            invoice_uuid=identifier(Invoice, invoice) if invoice else None,
            created_at=period.shifted(1).start if invoice else period.start,
        )


def given_back(line: Charge, name: str, amount: Decimal) -> dict[str, Any]:
    """Return the columns of an item that gives back an amount of a line."""
    return {
        **line.values(),
        "name": name,
        "unit_price": -amount,
        "quantity": Decimal(1),
        "unit": BillingUnit.QUANTITY,
        "measured_unit": "",
        "credit": True,
    }


def _compensation(line: Charge, amount: Decimal, paid_item: UUID) -> dict[str, Any]:
    values = given_back(line, f"Credit compensation. {line.values()['name']}", amount)
    links = {"is_compensation": True, "compensation_of_item": paid_item.hex}
    return {
        **values,
        "details": {**values["details"], **links},
        "customer_credit_id": identifier(CustomerCredit, CREDITED),
    }
