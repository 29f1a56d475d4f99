"""A record for each list of the API, for tests that walk all lists."""

from collections.abc import Awaitable, Callable
from typing import Final

from tests.support.factories import Factories


async def _payment(make: Factories) -> str:
    await make.payment(await make.profile(await make.customer()))
    return ""


async def _profile(make: Factories) -> str:
    await make.profile(await make.customer())
    return ""


RECORDS: Final[dict[str, Callable[[Factories], Awaitable[str]]]] = {
    "/api/payment-profiles/": _profile,
    "/api/payments/": _payment,
}
"""By the path of a list, a function that inserts one record more for staff to see.

It returns the query that the list needs to show it; empty if it needs none.
"""
