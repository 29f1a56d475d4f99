"""Credits, their ledger and affiliates, from a Waldur of 2024 and from one of the releases 8."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.dataio.waldur.conftest import Import, dump
from tests.support.waldur import add_rows, execute
from tests.support.waldur_release_8 import UPGRADE, affiliate, movement
from tests.support.waldur_sample import uid

CHANGED = "the balance of the credit has moved here"
NO_CAUSE = "it does not name its cause, structure.customer"


@pytest.fixture
async def newer(waldur: str) -> str:
    """The address of a Waldur database of the releases 8 with the sample in it."""
    await execute(waldur, *UPGRADE)
    return waldur


async def rows(connection: AsyncConnection, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(text(statement))]


async def ledger(connection: AsyncConnection) -> list[tuple[Any, ...]]:
    return await rows(
        connection, "SELECT amount, transaction_type FROM credit_transactions ORDER BY id"
    )


async def test_the_credits_of_2024_are_imported_with_a_balance_in_the_ledger(
    bring: Import, connection: AsyncConnection
) -> None:
    report = await bring()
    assert await rows(
        connection,
        "SELECT value, end_date, expected_consumption, minimal_consumption_logic,"
        " grace_coefficient, apply_as_minimal_consumption FROM customer_credits",
    ) == [(Decimal("50.12345"), date(2027, 2, 1), Decimal(5), "linear", 0, True)]
    assert await rows(
        connection,
        "SELECT projects.name, value, end_date, expected_consumption FROM project_credits"
        " JOIN projects ON projects.id = project_id",
    ) == [("Sea", Decimal("20.5"), None, 0)]
    assert await ledger(connection) == [
        (Decimal("50.12345"), "adjustment"),
        (Decimal("20.5"), "adjustment"),
    ]
    assert report.adapted.keys() == {
        ("customer_credit", "it ends on the first day of the next month"),
        ("project_credit", "the credit of the organization does not pay its rest here"),
    }


async def test_a_later_import_explains_the_new_balance(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(waldur, "UPDATE invoices_customercredit SET value = 40.12345")
    report = await bring()
    assert (await ledger(connection))[2:] == [(Decimal(-10), "adjustment")]
    assert +report.new == {"credit_transaction": 1}
    before = await dump(connection)
    assert not +(await bring()).new
    assert await dump(connection) == before


async def test_a_credit_whose_balance_moved_here_is_not_overwritten(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await connection.execute(text("UPDATE customer_credits SET value = 49.12345"))
    await connection.execute(
        text(
            "INSERT INTO credit_transactions"
            " (uuid, customer_credit_uuid, amount, transaction_type, created_at)"
            " SELECT gen_random_uuid(), uuid, -1, 'compensation', now() FROM customer_credits"
        )
    )
    await execute(waldur, "UPDATE invoices_customercredit SET value = 99")
    before = await dump(connection)
    report = await bring()
    assert await dump(connection) == before
    assert report.preserved["customer_credit", CHANGED].examples == [uid("credit")]


async def test_a_deleted_credit_is_reported(waldur: str, bring: Import) -> None:
    await bring()
    await execute(waldur, "DELETE FROM invoices_projectcredit")
    report = await bring()
    assert report.preserved["project_credit", "Waldur does not have it"].examples == [uid("share")]


async def test_a_balance_below_zero_is_zero(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(waldur, "UPDATE invoices_customercredit SET value = -0.5")
    report = await bring()
    assert await rows(connection, "SELECT value FROM customer_credits") == [(0,)]
    assert report.adapted["customer_credit", "its balance below zero is zero here"].count == 1
    assert report.new["invoice"] == 3


async def test_the_rules_of_the_minimal_consumption_are_imported(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        newer,
        "UPDATE invoices_customercredit SET expected_consumption = 10, grace_coefficient = 20,"
        " apply_as_minimal_consumption = false, value = 99999999999.99999",
        "UPDATE invoices_projectcredit SET expected_consumption = 3, grace_coefficient = 100,"
        " minimal_consumption_logic = 'linear', end_date = '2027-03-01',"
        " mark_unused_credit_as_spent_on_project_termination = true",
    )
    await bring()
    rules = "expected_consumption, grace_coefficient, apply_as_minimal_consumption, value"
    assert await rows(connection, f"SELECT {rules} FROM customer_credits") == [
        (10, 20, False, Decimal("99999999999.99999"))
    ]
    assert await rows(
        connection,
        f"SELECT {rules}, minimal_consumption_logic, end_date,"
        " mark_unused_credit_as_spent_on_project_termination FROM project_credits",
    ) == [(3, 100, True, Decimal("20.5"), "linear", date(2027, 3, 1), True)]


async def test_the_ledger_is_imported_with_its_links(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    sea = uid("sea").replace("-", "")
    await add_rows(
        newer,
        "invoices_credittransaction",
        movement(1, "60.12345", comment="Grant"),
        movement(
            2,
            "-10.00000",
            transaction_type="compensation",
            project_uuid=sea,
            project_name="Sea",
            billing_period="2026-02-01",
            content_type_id=10,
            object_id=2,
        ),
        movement(
            3,
            "20.50000",
            credit_id=None,
            project_credit_id=1,
            project_uuid=sea,
            project_name="Sea",
            content_type_id=7,
            object_id=11,
        ),
        movement(4, "-1.00000", credit_id=None, project_uuid=sea, project_name="Old name"),
    )
    report = await bring()
    assert not [kind for kind, _ in report.skipped if kind == "credit_transaction"]
    assert report.adapted["credit_transaction", NO_CAUSE].examples == [uid("movement-3")]
    buyer, credit, share = UUID(uid("buyer")), UUID(uid("credit")), UUID(uid("share"))
    project, invoice = UUID(uid("sea")), UUID(uid("invoice-2"))
    assert await rows(
        connection,
        "SELECT amount::float, transaction_type, customer_uuid, customer_credit_uuid,"
        " project_credit_uuid, project_uuid, project_name, comment, billing_period, invoice_uuid"
        " FROM credit_transactions ORDER BY id",
    ) == [
        (60.12345, "staff_grant", buyer, credit, None, None, "", "Grant", None, None),
        (
            *(-10, "compensation", buyer, credit, None, project, "Sea", ""),
            *(date(2026, 2, 1), invoice),
        ),
        (20.5, "staff_grant", buyer, None, share, project, "Sea", "", None, None),
        (-1, "staff_grant", buyer, None, None, project, "Old name", "", None, None),
    ]
    before = await dump(connection)
    assert not +(await bring()).new
    assert await dump(connection) == before


async def test_the_part_of_a_balance_before_the_ledger_is_explained(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    compensation = movement(1, "-9.87655", transaction_type="compensation")
    await add_rows(newer, "invoices_credittransaction", compensation)
    await bring()
    assert await ledger(connection) == [
        (Decimal("-9.87655"), "compensation"),
        (Decimal(60), "adjustment"),
        (Decimal("20.5"), "adjustment"),
    ]
    comments = "SELECT DISTINCT comment FROM credit_transactions"
    assert (await rows(connection, f"{comments} WHERE transaction_type = 'adjustment'")) == [
        ("The balance in Waldur that its ledger does not explain.",)
    ]


async def test_new_movements_are_imported_with_the_new_balance(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await add_rows(newer, "invoices_credittransaction", movement(1, "-0.12345"))
    await execute(newer, "UPDATE invoices_customercredit SET value = 50")
    report = await bring()
    assert +report.new == {"credit_transaction": 1}
    assert +report.updated == {"customer_credit": 1}


async def test_affiliates_and_their_fees_are_imported(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    await add_rows(newer, "invoices_customeraffiliate", affiliate(1, 12, start_date="2026-01-01"))
    await add_rows(
        newer,
        "invoices_affiliatefeeaccrual",
        {
            "id": 1,
            "uuid": uid("fee"),
            "created": "2026-02-01T00:00:00Z",
            "amount": "0.31250",
            "invoice_id": 1,
            "affiliate_link_id": 1,
        },
    )
    await bring()
    assert await rows(
        connection,
        "SELECT customers.name, affiliates.name, fee_percent, is_active, start_date, amount, month"
        " FROM customer_affiliates AS link JOIN customers ON customers.id = customer_id"
        " JOIN customers AS affiliates ON affiliates.id = affiliate_id"
        " JOIN affiliate_fee_accruals ON affiliate_link_id = link.id"
        " JOIN invoices ON invoices.id = invoice_id",
    ) == [("buyer", "seller", Decimal("2.5"), True, date(2026, 1, 1), Decimal("0.3125"), 1)]


async def test_only_the_newest_of_several_active_affiliates_is_active(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    await execute(
        newer,
        "INSERT INTO structure_customer SELECT (jsonb_populate_record(c,"
        f' \'{{"id": 13, "uuid": "{uid("third")}", "name": "third"}}\')).*'
        " FROM structure_customer AS c WHERE id = 12",
    )
    await add_rows(newer, "invoices_customeraffiliate", affiliate(1, 12), affiliate(2, 13))
    report = await bring()
    assert await rows(connection, "SELECT uuid FROM customer_affiliates WHERE is_active") == [
        (UUID(uid("affiliate-2")),)
    ]
    difference = "it is not active, since the customer has a newer active one"
    assert report.adapted["customer_affiliate", difference].examples == [uid("affiliate-1")]
    assert report.new["customer_affiliate"] == 2


async def test_the_link_of_a_compensation_stays_in_its_details(
    newer: str, bring: Import, connection: AsyncConnection
) -> None:
    link = uid("item-102").replace("-", "")
    await execute(
        newer,
        "UPDATE invoices_invoiceitem SET details = jsonb_build_object('is_compensation', true,"
        f" 'compensation_of_item', '{link}') WHERE id = 103",
    )
    await bring()
    details = "SELECT details FROM invoice_items WHERE credit"
    assert await rows(connection, details) == [
        ({"is_compensation": True, "compensation_of_item": link},)
    ]


async def test_a_new_credit_replaces_one_that_was_deleted_in_waldur(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(
        waldur,
        f"UPDATE invoices_customercredit SET uuid = '{uid('new-credit')}', value = 7, id = 2",
        "UPDATE invoices_invoiceitem SET credit_id = 2 WHERE id = 103",
    )
    report = await bring()
    assert await rows(connection, "SELECT uuid, value FROM customer_credits") == [
        (UUID(uid("new-credit")), 7)
    ]
    assert not [kind for kind, _ in report.skipped if kind == "invoice"]
    difference = "it replaces one that Waldur has deleted"
    assert report.adapted["customer_credit", difference].examples == [uid("new-credit")]
    sums = "SELECT sum(amount) FROM credit_transactions WHERE customer_credit_uuid = '{}'"
    assert await rows(connection, sums.format(uid("new-credit"))) == [(7,)]


async def test_a_new_profile_replaces_an_active_one_that_was_deleted_in_waldur(
    waldur: str, bring: Import, connection: AsyncConnection
) -> None:
    await bring()
    await execute(
        waldur,
        f"UPDATE invoices_paymentprofile SET uuid = '{uid('new-profile')}' WHERE id = 1",
    )
    report = await bring()
    assert await rows(connection, "SELECT uuid FROM payment_profiles WHERE is_active") == [
        (UUID(uid("new-profile")),)
    ]
    difference = "it is not active any more, since Waldur has another active one"
    assert report.adapted["payment_profile", difference].examples == [uid("profile")]
    assert not [kind for kind, _ in report.skipped if kind == "payment"]
