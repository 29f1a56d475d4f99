"""Constraints of the database, which hold for every writer."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.factories import Factories


@pytest.fixture(autouse=True)
async def rows(make: Factories) -> None:
    customer = await make.customer()
    invoice = await make.invoice(customer)
    await make.item(invoice)
    profile = await make.profile(customer)
    await make.payment(profile, invoice_id=invoice.id)


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        (
            "INSERT INTO invoices (uuid, customer_id, year, month, tax_percent, created) SELECT"
            " gen_random_uuid(), customer_id, year, month, 0, created FROM invoices",
            "uq_invoices_customer_id_year_month",
        ),
        (
            "INSERT INTO payment_profiles (uuid, customer_id, payment_type, is_active) SELECT"
            " gen_random_uuid(), customer_id, 'invoices', true FROM payment_profiles",
            "uq_payment_profiles_active_customer_id",
        ),
        ("UPDATE invoices SET state = 'odd'", "ck_invoices_state_is_known"),
        ("UPDATE invoices SET month = 0", "ck_invoices_month_is_of_a_year"),
        ("UPDATE invoices SET month = 13", "ck_invoices_month_is_of_a_year"),
        ("UPDATE invoices SET year = 10000", "ck_invoices_year_is_of_the_calendar"),
        ("UPDATE invoices SET tax_percent = -0.01", "ck_invoices_tax_percent_is_not_negative"),
        ("UPDATE invoices SET tax_percent = 'NaN'", "ck_invoices_tax_percent_is_not_negative"),
        (
            "UPDATE customers SET default_tax_percent = -0.01",
            "ck_customers_default_tax_percent_is_not_negative",
        ),
        (
            "UPDATE customers SET default_tax_percent = 'NaN'",
            "ck_customers_default_tax_percent_is_not_negative",
        ),
        (
            "UPDATE invoices SET invoice_date = created, due_date = NULL",
            "ck_invoices_due_date_follows_invoice_date",
        ),
        ("UPDATE invoice_items SET unit = 'week'", "ck_invoice_items_unit_is_known"),
        (
            "UPDATE invoice_items SET unit_price = 'NaN'",
            "ck_invoice_items_amounts_are_numbers",
        ),
        ("UPDATE invoice_items SET quantity = 'NaN'", "ck_invoice_items_amounts_are_numbers"),
        ("UPDATE invoice_items SET details = '[1]'", "ck_invoice_items_details_are_an_object"),
        ("UPDATE payment_profiles SET payment_type = 'x'", "ck_payment_profiles_payment_type"),
        (
            "UPDATE payment_profiles SET attributes = '1'",
            "ck_payment_profiles_attributes_are_an_object",
        ),
        ("UPDATE payments SET sum = 'NaN'", "ck_payments_sum_is_a_number"),
        ("UPDATE payments SET proof_key = 'a'", "ck_payments_proof_is_whole"),
        ("UPDATE invoice_items SET price = 9.98", "is more than 0.01 from unit price"),
        ("UPDATE invoice_items SET price = 'Infinity'", "numeric field overflow"),
        ("DELETE FROM customers", "violates foreign key constraint"),
        ("DELETE FROM payment_profiles", "fk_payments_profile_id"),
    ],
)
async def test_the_database_refuses(
    connection: AsyncConnection, statement: str, constraint: str
) -> None:
    with pytest.raises(DBAPIError, match=constraint):
        await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE payments SET sum = 'Infinity'", "ck_payments_sum_is_bounded"),
        ("UPDATE invoices SET total_price = 1e20", "ck_invoices_total_price_is_bounded"),
        ("UPDATE invoice_items SET price = 'Infinity'", "is more than 0.01 from unit price"),
        ("UPDATE invoice_items SET price = 10.005", "more decimals than the currency"),
    ],
)
async def test_the_same_values_are_refused_with_more_decimals(
    connection: AsyncConnection, statement: str, constraint: str
) -> None:
    await connection.execute(text("SELECT widen_amounts()"))
    with pytest.raises(DBAPIError, match=constraint):
        await connection.execute(text(statement))
