"""Constraints of the database on credits, which hold for every writer."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.factories import Factories


@pytest.fixture(autouse=True)
async def rows(make: Factories) -> None:
    customer, affiliate = await make.customer(), await make.customer()
    await make.credit(customer)
    project = await make.project(customer)
    await make.project_credit(project)
    await make.credit_transaction(customer_uuid=customer.uuid)
    await make.affiliate(customer, affiliate)
    await make.affiliate(customer, await make.customer(), is_active=False)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        *(
            (f"UPDATE {table} SET {change}", f"ck_{table}_{constraint}")
            for table in ("customer_credits", "project_credits")
            for change, constraint in (
                ("value = -0.00001", "value_is_not_negative"),
                ("value = 'NaN'", "value_is_not_negative"),
                ("expected_consumption = -1", "expected_consumption_is_not_negative"),
                ("grace_coefficient = 101", "grace_is_a_percentage"),
                ("minimal_consumption_logic = ''", "minimal_consumption_logic_is_known"),
            )
        ),
        ("UPDATE customer_affiliates SET is_active = true", "uq_customer_affiliates_active"),
        ("UPDATE customer_affiliates SET fee_percent = 100.1", "fee_is_a_percentage"),
        ("UPDATE customer_affiliates SET affiliate_id = customer_id", "is_another_customer"),
        (
            "UPDATE customer_affiliates SET start_date = '2026-01-01', end_date = '2026-01-01'",
            "ends_after_its_start",
        ),
        *(
            (statement.format("credit_transactions"), "the record of changes is only added to")
            for statement in ("UPDATE {} SET comment = 'x'", "DELETE FROM {}", "TRUNCATE {}")
        ),
    ],
)
async def test_the_database_refuses(
    connection: AsyncConnection, statement: str, constraint: str
) -> None:
    with pytest.raises(DBAPIError, match=constraint):
        await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("columns", "values", "constraint"),
    [
        ("billing_period", "'2026-10-02'", "billing_period_is_a_first_day"),
        (
            "customer_credit_uuid, project_credit_uuid",
            "gen_random_uuid(), gen_random_uuid()",
            "one_balance_moves",
        ),
    ],
)
async def test_a_movement_is_of_one_balance_and_a_month(
    connection: AsyncConnection, columns: str, values: str, constraint: str
) -> None:
    statement = (
        f"INSERT INTO credit_transactions (uuid, amount, transaction_type, created_at, {columns})"
        f" VALUES (gen_random_uuid(), 1, 'adjustment', now(), {values})"
    )
    with pytest.raises(DBAPIError, match=constraint):
        await connection.execute(text(statement))
