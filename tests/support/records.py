"""A record for each list of the API, for tests that walk all lists."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from app.billing.enums import InvoiceState
from app.billing.periods import Period
from tests.support.factories import Factories, Row


@dataclass
class _Project:
    customer: Row
    row: Row
    months: int = 0


_PROJECTS: Final[WeakKeyDictionary[Factories, _Project]] = WeakKeyDictionary()
"""The project that a test charges."""


async def _item(make: Factories) -> str:
    await make.item(await make.invoice(await make.customer()))
    return ""


async def _cost(make: Factories) -> str:
    """Charge one project in a further month."""
    if make not in _PROJECTS:
        customer = await make.customer()
        _PROJECTS[make] = _Project(customer, await make.project(customer))
    known = _PROJECTS[make]
    invoice = await make.invoice(known.customer, Period(2026, 10).shifted(-known.months))
    await make.item(invoice, project_id=known.row.id)
    known.months += 1
    return f"project_uuid={known.row.uuid}"


async def _payment(make: Factories) -> str:
    await make.payment(await make.profile(await make.customer()))
    return ""


async def _report(make: Factories) -> str:
    customer = await make.customer()
    await make.profile(customer)
    await make.item(await make.invoice(customer))
    return "year=2026&month=10"


async def _profile(make: Factories) -> str:
    await make.profile(await make.customer())
    return ""


async def _credit(make: Factories) -> str:
    await make.credit(await make.customer())
    return ""


async def _project_credit(make: Factories) -> str:
    customer = await make.customer()
    await make.credit(customer)
    await make.project_credit(await make.project(customer))
    return ""


async def _affiliate(make: Factories) -> str:
    await make.affiliate(await make.customer(), await make.customer())
    return ""


async def _credit_transaction(make: Factories) -> str:
    await make.credit_transaction(customer_uuid=(await make.customer()).uuid)
    return ""


async def _credit_note(make: Factories) -> str:
    await make.credit_note(await make.invoice(await make.customer(), state=InvoiceState.PAID))
    return ""


RECORDS: Final[dict[str, Callable[[Factories], Awaitable[str]]]] = {
    "/api/credit-notes/": _credit_note,
    "/api/credit-transactions/": _credit_transaction,
    "/api/customer-affiliates/": _affiliate,
    "/api/customer-credits/": _credit,
    "/api/financial-reports/": _report,
    "/api/invoice-items/": _item,
    "/api/invoice-items/costs/": _cost,
    "/api/payment-profiles/": _profile,
    "/api/payments/": _payment,
    "/api/project-credits/": _project_credit,
    "/api/provider-invoice-items/": _item,
}
"""By the path of a list, a function that inserts one record more for staff to see.

It returns the query that the list needs to show it; empty if it needs none.
"""
