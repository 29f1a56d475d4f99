"""`POST /api/invoices/{uuid}/credit/`: credit notes of the whole and of parts."""

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database.engine import Database
from app.invoices.actions.issue import IssueInvoice, issue
from app.settings import Settings
from tests.credit_notes.conftest import Crediting, Issue
from tests.support.clients import BASE
from tests.support.factories import Factories


async def test_a_created_invoice_credited_whole_is_canceled(
    crediting: Crediting, issued: Issue, connection: AsyncConnection
) -> None:
    invoice = await issued("10", "-2.5")
    response = await crediting.post(invoice, reason="  Billed twice ")
    note = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == note["url"] == f"{BASE}/api/credit-notes/{note['uuid']}/"
    assert (note["price"], note["tax"], note["total"]) == ("7.50", "1.50", "9.00")
    assert (note["number"], note["printed_number"], note["reason"]) == (1, "CN-1", "Billed twice")
    assert note["invoice_uuid"] == str(invoice.uuid)
    assert await crediting.state(invoice) == "canceled"
    reason = await connection.scalar(text("SELECT cancel_reason FROM invoices"))
    assert reason == "Billed twice"


async def test_a_paid_invoice_credited_whole_stays_paid(
    crediting: Crediting, issued: Issue
) -> None:
    invoice = await issued("10", is_paid=True)
    await crediting.credit(invoice)
    assert await crediting.state(invoice) == "paid"


async def test_parts_are_credited_until_nothing_is_left(
    crediting: Crediting, issued: Issue
) -> None:
    invoice = await issued("10", "5")
    first, second = await crediting.items(invoice)
    notes = [
        await crediting.credit(invoice, items=[{"uuid": first, "price": "2.50"}]),
        await crediting.credit(invoice, items=[{"uuid": first, "quantity": "0.5"}]),
        await crediting.credit(invoice, items=[{"uuid": second}]),
    ]
    assert await crediting.state(invoice) == "created"
    notes.append(await crediting.credit(invoice))
    assert [note["price"] for note in notes] == ["2.50", "5.00", "5.00", "2.50"]
    assert [note["number"] for note in notes] == [1, 2, 3, 4]
    assert sum(Decimal(note["total"]) for note in notes) == 18
    assert await crediting.state(invoice) == "canceled"


async def test_an_invoice_of_which_nothing_is_to_be_paid_becomes_paid(
    crediting: Crediting, issued: Issue
) -> None:
    invoice = await issued("10", "-4")
    charge, _compensation = await crediting.items(invoice)
    await crediting.credit(invoice, items=[{"uuid": charge, "price": "6"}])
    assert await crediting.state(invoice) == "paid"


async def test_the_payment_is_the_total_less_the_credit_notes(
    crediting: Crediting, issued: Issue, connection: AsyncConnection
) -> None:
    invoice = await issued("10", "5")
    await crediting.credit(invoice, items=[{"uuid": (await crediting.items(invoice))[1]}])
    response = await crediting.client.post(
        f"/api/invoices/{invoice.uuid}/paid/",
        json={"date": "2026-11-05"},
        headers=crediting.staff.headers,
    )
    assert response.status_code == 200
    assert response.json()["total"] == "18.0000000000"
    assert await connection.scalar(text("SELECT sum FROM payments")) == 12


async def test_an_invoice_in_the_customers_favour_is_credited(
    crediting: Crediting, issued: Issue
) -> None:
    invoice = await issued("-10")
    (item,) = await crediting.items(invoice)
    note = await crediting.credit(invoice, items=[{"uuid": item, "price": "-4"}])
    assert note["total"] == "-4.80"
    assert (await crediting.credit(invoice))["total"] == "-7.20"


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"reason": " "}, {"reason": ["This field may not be blank."]}),
        ({"reason": None}, {"reason": ["This field may not be null."]}),
        ({"items": []}, {"items": ["This list may not be empty."]}),
        ({"items": [{}]}, {"items": {"0": {"uuid": ["This field is required."]}}}),
        ({"items": [{"uuid": "x"}]}, {"items": {"0": {"uuid": ["Must be a valid UUID."]}}}),
        (
            {"items": [{"uuid": "ITEM", "price": "1.001"}]},
            {"items": {"0": {"price": ["Ensure that there are no more than 2 decimal places."]}}},
        ),
        (
            {"items": [{"uuid": "ITEM", "price": "1", "quantity": "1"}]},
            {"items": {"0": ["Give the quantity or the price, not both."]}},
        ),
        (
            {"items": [{"uuid": "ITEM"}, {"uuid": "ITEM"}]},
            {"items": ["The item ITEM is given more than once."]},
        ),
        *(
            (
                {"items": [{"uuid": "ITEM", measure: value}]},
                {
                    "items": [
                        "The quantity and price of the item ITEM need its sign and are not zero."
                    ]
                },
            )
            for measure in ("price", "quantity")
            for value in ("0", "-1")
        ),
    ],
)
async def test_a_wrong_body_is_400_and_changes_nothing(
    crediting: Crediting,
    issued: Issue,
    connection: AsyncConnection,
    body: dict[str, Any],
    errors: dict[str, Any],
) -> None:
    invoice = await issued("10")
    (item,) = await crediting.items(invoice)

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return value.replace("ITEM", item) if isinstance(value, str) else value

    response = await crediting.post(invoice, **filled(body))
    assert (response.status_code, response.json()) == (400, filled(errors))
    assert await connection.scalar(text("SELECT count(*) FROM credit_notes")) == 0


async def test_a_reason_is_needed(crediting: Crediting, issued: Issue) -> None:
    invoice = await issued("10")
    response = await crediting.client.post(
        f"/api/invoices/{invoice.uuid}/credit/", json={}, headers=crediting.staff.headers
    )
    assert (response.status_code, response.json()) == (400, {"reason": ["This field is required."]})


async def test_an_item_of_another_invoice_is_unknown(crediting: Crediting, issued: Issue) -> None:
    other = (await crediting.items(await issued("10")))[0]
    response = await crediting.post(await issued("10"), items=[{"uuid": other}])
    assert response.status_code == 400
    assert response.json() == {"items": [f"The invoice has no item {other} that can be credited."]}


@pytest.mark.parametrize("part", [{"price": "10.01"}, {"quantity": "1.1"}])
async def test_more_than_is_left_of_an_item_is_409(
    crediting: Crediting, issued: Issue, part: dict[str, str]
) -> None:
    invoice = await issued("10", "10")
    item = (await crediting.items(invoice))[0]
    response = await crediting.post(invoice, items=[{"uuid": item} | part])
    assert response.status_code == 409
    assert response.json() == {
        "detail": f"The credit of the item {item} is more than is left of it."
    }


async def test_more_than_the_total_is_409(crediting: Crediting, issued: Issue) -> None:
    invoice = await issued("10", "-4")
    item = (await crediting.items(invoice))[0]
    response = await crediting.post(invoice, items=[{"uuid": item, "price": "6.01"}])
    assert response.status_code == 409
    assert response.json() == {
        "detail": "The credit is more than is left of the total of the invoice."
    }


async def test_a_credited_invoice_has_nothing_left(crediting: Crediting, issued: Issue) -> None:
    invoice = await issued("10", is_paid=True)
    await crediting.credit(invoice)
    response = await crediting.post(invoice)
    assert (response.status_code, response.json()) == (
        409,
        {"detail": "Nothing of the invoice is left to be credited."},
    )


@pytest.mark.parametrize("state", ["pending", "pending_finalization", "canceled"])
async def test_only_an_issued_invoice_is_credited(
    crediting: Crediting, make: Factories, state: str
) -> None:
    invoice = await make.payable_invoice("10")
    await crediting.connection.execute(text("UPDATE invoices SET state = :state"), {"state": state})
    response = await crediting.post(invoice)
    assert (response.status_code, response.json()) == (
        409,
        {"detail": "Valid states for operation: Created, Paid."},
    )


async def test_an_invoice_of_an_earlier_release_is_frozen_first(
    crediting: Crediting, make: Factories, connection: AsyncConnection
) -> None:
    invoice = await make.payable_invoice("10")
    await crediting.credit(invoice)
    assert await connection.scalar(text("SELECT document_version FROM invoices")) == 1


async def test_a_repeated_request_credits_once(
    crediting: Crediting, issued: Issue, connection: AsyncConnection
) -> None:
    invoice = await issued("10", is_paid=True)
    key = {"Idempotency-Key": str(uuid4())}
    first, second = [await crediting.post(invoice, headers=key) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert await connection.scalar(text("SELECT count(*) FROM credit_notes")) == 1


async def test_an_invoice_that_changed_meanwhile_is_not_credited(
    crediting: Crediting, issued: Issue
) -> None:
    invoice = await issued("10", is_paid=True)
    (item,) = await crediting.items(invoice)
    etag = (await crediting.get(f"/api/invoices/{invoice.uuid}/")).headers["etag"]
    part = [{"uuid": item, "price": "1"}]
    first, second = [
        await crediting.post(invoice, headers={"If-Match": etag}, items=part) for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (201, 412)


async def test_of_two_at_once_one_wins(crediting: Crediting, issued: Issue) -> None:
    invoice = await issued("10", is_paid=True)
    (item,) = await crediting.items(invoice)
    part = [{"uuid": item, "price": "6"}]
    responses = await asyncio.gather(*(crediting.post(invoice, items=part) for _ in range(4)))
    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409]


async def test_the_numbers_of_notes_made_at_once_have_no_gaps(
    crediting: Crediting, issued: Issue, settings: Settings, database: Database
) -> None:
    invoices = [await issued("10") for _ in range(6)]
    refused = await issued("10")
    requests = [crediting.post(invoice) for invoice in invoices]
    requests.append(crediting.post(refused, items=[{"uuid": str(uuid4())}]))
    responses = await asyncio.gather(*requests)
    numbers = [each.json()["number"] for each in responses if each.status_code == 201]
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


async def test_credits_are_given_back_when_nothing_is_left(
    crediting: Crediting, make: Factories, settings: Settings, connection: AsyncConnection
) -> None:
    customer = await make.customer()
    await make.credit(customer, "5")
    row = await make.invoice(customer)
    await make.item(row, "10")
    await issue(connection, IssueInvoice(row.id), settings)
    value = text("SELECT value FROM customer_credits")
    assert await connection.scalar(value) == 0
    charge = (await crediting.items(row))[0]
    await crediting.credit(row, items=[{"uuid": charge, "price": "1"}])
    assert await connection.scalar(value) == 0
    await crediting.credit(row)
    assert await connection.scalar(value) == 5
