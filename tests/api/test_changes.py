"""Conventions of all changes, found by their routes: a new change needs a body here."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from limits import parse
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.settings import Settings
from tests.contract.test_permissions import target_of
from tests.support.clients import BASE
from tests.support.factories import Factories
from tests.support.world import World, make_world

_METHODS: Final = ("DELETE", "PATCH", "POST", "PUT")
_MAILS: Final = {"credit_notes_send_notification", "invoices_send_notification"}
_UNCONDITIONAL: Final = _MAILS
"""Operations on a record that do not change it."""
_UNRECORDED: Final = _MAILS | {"invoice_send_financial_report_by_mail"}
"""Operations that only send mail."""

Change = tuple[str, str, str]
"""Operation id, method and path."""


def changes(app: FastAPI) -> Iterator[Change]:
    for route in iter_route_contexts(app.routes):
        for method in route.methods or ():
            if method in _METHODS:
                assert route.path is not None
                yield str(getattr(route, "operation_id", "")), method, route.path


def body_of(operation: str, world: World) -> dict[str, Any]:
    """Return a valid body for the records; an empty one if the operation ignores it."""

    def link(group: str, kind: str) -> str:
        return f"{BASE}/api/{group}/{world.records[kind].uuid.hex}/"

    usage = {
        "name": "Disk",
        "unit_price": "1",
        "quantity": "1",
        "customer_uuid": world.records["other customer"].uuid.hex,
    }
    profile = {
        "name": "Account",
        "organization": link("customers", "other customer"),
        "payment_type": "invoices",
    }
    payment = {
        "profile": link("payment-profiles", "profile"),
        "date_of_payment": "2026-01-02",
        "sum": "10",
    }
    affiliate = {
        "customer": link("customers", "other customer"),
        "affiliate": link("customers", "customer"),
    }
    bodies: dict[str, dict[str, Any]] = {
        "invoices_paid": {"date": "2026-01-02"},
        "invoices_credit": {"reason": "A mistake"},
        "invoices_set_backend_id": {"backend_id": "B-1"},
        "invoices_set_payment_url": {"payment_url": "https://example.com/"},
        "invoices_set_reference_number": {"reference_number": "R-1"},
        "invoices_import_usage": {"year": 2026, "month": 1, "items": [usage]},
        "invoice_items_update": {"article_code": "A"},
        "invoice_items_partial_update": {"article_code": "A"},
        "invoice_items_create_compensation": {"offering_component_name": "Refund"},
        "invoice_items_migrate_to": {"invoice": link("invoices", "earlier")},
        "payments_create": payment,
        "payments_update": payment,
        "payments_partial_update": {"sum": "11"},
        "payments_link_to_invoice": {"invoice": link("invoices", "paid")},
        "payment_profiles_create": profile,
        "payment_profiles_update": profile | {"organization": link("customers", "customer")},
        "payment_profiles_partial_update": {"name": "Another account"},
        "customer_affiliates_create": affiliate,
        "customer_affiliates_update": {"customer": link("customers", "customer"),
            "affiliate": link("customers", "other customer")},
        "customer_affiliates_partial_update": {"fee_percent": "5"},
        "customer_credits_create": {"customer": link("customers", "other customer"), "value": "5"},
        "customer_credits_update": {"customer": link("customers", "customer"), "value": "60"},
        "customer_credits_partial_update": {"value": "60"},
        "customer_credits_adjust_withdrawable": {"amount": "1", "comment": "a correction"},
        "project_credits_create": {"project": link("projects", "other project"), "value": "5"},
        "project_credits_update": {"project": link("projects", "project"), "value": "5"},
        "project_credits_partial_update": {"value": "5"},
        "invoice_send_financial_report_by_mail": {
            "emails": ["a@example.com"], "year": 2026, "month": 1},
    }  # fmt: skip
    return bodies.get(operation, {})


_PREPARATIONS: Final = {
    "customer_affiliates_destroy": "DELETE FROM affiliate_fee_accruals",
    "customer_affiliates_update": "DELETE FROM affiliate_fee_accruals",
    "customer_credits_destroy": "DELETE FROM project_credits",
    "payment_profiles_destroy": "DELETE FROM payments",
    "payment_profiles_enable": "UPDATE payment_profiles SET is_active = false",
    "payments_unlink_from_invoice": "UPDATE payments SET invoice_id ="
    " (SELECT max(id) FROM invoices WHERE state = 'paid')",
}
"""Statements that make an operation possible."""


async def prepare(operation: str, connection: AsyncConnection, make: Factories) -> World:
    """Make records that the operation can change."""
    world = await make_world(make)
    if operation in _PREPARATIONS:
        await connection.execute(text(_PREPARATIONS[operation]))
    return world


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with every operation, and with a rate limit."""
    update: dict[str, Any] = {"customer_affiliates": True, "rate_limit_token": parse("999/minute")}
    return settings.model_copy(update=update)


async def test_no_record_is_changed_that_has_changed_since_it_was_read(
    app: FastAPI, client: httpx.AsyncClient, make: Factories, connection: AsyncConnection
) -> None:
    answers = {}
    for operation, method, path in changes(app):
        if "{uuid}" in path and operation not in _UNCONDITIONAL:
            world = await prepare(operation, connection, make)
            answer = await client.request(
                method,
                target_of(path, world),
                json=body_of(operation, world),
                headers=world.staff.headers | {"If-Match": '"another"'},
            )
            answers[operation] = answer.status_code, answer.text
    wrong = {name: answer for name, answer in answers.items() if answer[0] != 412}
    assert not wrong, "\n".join(f"{name}: {each}" for name, each in wrong.items())
    assert len(answers) > 20


def counted(operation: str, method: str, status: int) -> float:
    labels = {"operation": operation, "method": method, "status": str(status)}
    return REGISTRY.get_sample_value("invoicing_http_requests_total", labels) or 0.0


async def test_each_change_is_made_once_counted_limited_and_recorded(
    app: FastAPI, client: httpx.AsyncClient, make: Factories, connection: AsyncConnection
) -> None:
    wrong = {}
    for operation, method, path in changes(app):
        world = await prepare(operation, connection, make)
        if operation == "customer_credits_clear_compensations":
            applied = target_of(path, world).replace("clear", "apply")
            assert (await client.post(applied, headers=world.staff.headers)).is_success
        request_id = uuid4().hex
        request: dict[str, Any] = {
            "method": method,
            "url": target_of(path, world),
            "json": body_of(operation, world),
            "headers": world.staff.headers
            | {"Idempotency-Key": uuid4().hex, "X-Request-ID": request_id},
        }
        first, again = await client.request(**request), await client.request(**request)
        entries = await connection.execute(_RECORDED, {"request": request_id})
        observed = {
            "made": first.is_success,
            "replayed": again.headers.get("Idempotent-Replayed") == "true",
            "same": (first.status_code, first.content) == (again.status_code, again.content),
            "limited": '"token";r=' in first.headers.get("RateLimit", ""),
            "counted": counted(operation, method, first.status_code) >= 2,
            "recorded": set(entries.scalars()) == {operation} or operation in _UNRECORDED,
        }
        if not all(observed.values()):
            wrong[operation] = observed, first.status_code, first.text
    assert not wrong, "\n".join(f"{name}: {each}" for name, each in wrong.items())


_RECORDED: Final = text("""
SELECT operation FROM invoice_history WHERE request_id = :request
UNION SELECT operation FROM subject_history WHERE request_id = :request
""")
