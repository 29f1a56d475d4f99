"""A customer with an issued invoice."""

from datetime import UTC, datetime

import pytest

from app import clock
from app.billing.enums import InvoiceState
from tests.support.factories import Factories, Row

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _frozen_clock() -> None:
    clock.freeze(NOW)


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer(email="accounts@example.com")


@pytest.fixture
async def invoice(make: Factories, customer: Row) -> Row:
    return await make.invoice(customer, state=InvoiceState.CREATED)
