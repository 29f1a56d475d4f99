"""Impersonation: staff act with another user's access and rights, and both are recorded."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.api.permissions import access_of
from app.audit.verify import VerificationResult, verify
from app.billing.enums import InvoiceState
from app.database.engine import Database
from app.dataio.jsonl.exporter import export_lines
from app.dataio.jsonl.importer import import_file
from app.identity.tokens import LOOKUP_LIFETIME
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories, Row, UserRow

HEADER = "X-Impersonated-User-Uuid"
LIST = "/api/invoices/?field=uuid"
DENIED = {"detail": "You do not have permission to perform this action."}
NOT_FOUND = {"detail": "No Invoice matches the given query."}


class Case:
    """Invoices of two customers. Staff see both; the owner of one customer sees one."""

    def __init__(self, make: Factories, database: Database, settings: Settings) -> None:
        self.make = make
        self.database = database
        self.settings = settings

    async def create_records(self) -> None:
        make = self.make
        self.staff = await make.user(is_staff=True, username="anna")
        self.own = await make.customer(name="own")
        self.owner = await make.owner(self.own, username="otto")
        self.seen = await make.invoice(self.own, state=InvoiceState.CREATED)
        self.unseen = await make.invoice(await make.customer(name="other"))

    def acting_as(self, user: Row | UUID | str, by: UserRow | None = None) -> dict[str, str]:
        value = user.uuid if isinstance(user, Row) else user
        return {**(by or self.staff).headers, HEADER: str(value)}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with which every operation is served."""
    return settings.model_copy(update={"customer_affiliates": True})


@pytest.fixture
async def case(make: Factories, database: Database, settings: Settings) -> Case:
    case = Case(make, database, settings)
    await case.create_records()
    return case


def uuids(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {invoice["uuid"] for invoice in answer.json()}


async def test_staff_see_what_the_user_sees(case: Case, client: httpx.AsyncClient) -> None:
    headers = case.acting_as(case.owner)
    assert uuids(await client.get(LIST, headers=headers)) == {str(case.seen.uuid)}
    counted = await client.head(LIST, headers=headers)
    assert counted.headers["x-result-count"] == "1"
    seen = await client.get(f"/api/invoices/{case.seen.uuid}/", headers=headers)
    theirs = await client.get(f"/api/invoices/{case.seen.uuid}/", headers=case.owner.headers)
    assert seen.content == theirs.content
    for end in ("", "items/", "stats/"):
        answer = await client.get(f"/api/invoices/{case.unseen.uuid}/{end}", headers=headers)
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    growth = await client.get("/api/invoices/growth/", headers=headers)
    own = await client.get("/api/invoices/growth/", headers=case.owner.headers)
    assert growth.content == own.content


async def test_staff_have_the_rights_of_the_user(
    case: Case, client: httpx.AsyncClient, make: Factories
) -> None:
    path = f"/api/invoices/{case.seen.uuid}/"
    support, other = await make.support(), await make.staff()
    for user, reads, writes in (
        (case.owner, 403, 403),
        (await make.user(), 403, 403),
        (support, 200, 403),
        (other, 200, 200),
        (case.staff, 200, 200),
    ):
        headers = case.acting_as(user)
        read = await client.get(f"{path}history/", headers=headers)
        write = await client.post(f"{path}set_backend_id/", headers=headers)
        proof = await client.get(f"/api/payments/{uuid4()}/proof/", headers=headers)
        assert (read.status_code, write.status_code) == (reads, writes)
        assert proof.status_code == 404
        if writes == 403:
            assert write.json() == DENIED


async def test_access_subnets_apply_to_the_address_of_the_client(
    case: Case, app: FastAPI, make: Factories
) -> None:
    await make.subnet(case.own, "192.0.2.0/24")
    headers = case.acting_as(case.owner)
    for address, seen in {"192.0.2.7": {str(case.seen.uuid)}, "198.51.100.7": set()}.items():
        async with client_of(app, address) as client:
            assert uuids(await client.get(LIST, headers=headers)) == seen


async def test_the_uuid_may_have_hyphens_upper_case_and_white_space(
    case: Case, client: httpx.AsyncClient
) -> None:
    uuid = case.owner.uuid
    for text_ in (uuid.hex, str(uuid).upper(), f"  {uuid}  "):
        answer = await client.get(LIST, headers=case.acting_as(text_))
        assert uuids(answer) == {str(case.seen.uuid)}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must be one UUID"),
        ("otto", "must be one UUID"),
        (f"{UUID(int=1)},{UUID(int=2)}", "must be one UUID"),
        ("{00000000-0000-0000-0000-000000000001}", "must be one UUID"),
        ("\xe4", "must be one UUID"),
        (str(UUID(int=1)), "names no user"),
    ],
)
async def test_a_header_that_names_no_user_is_refused(
    case: Case, client: httpx.AsyncClient, connection: AsyncConnection, value: str, problem: str
) -> None:
    """The request is not executed with the rights of staff instead."""
    headers: Any = {**case.staff.headers, HEADER: value.encode("latin-1")}
    expected = {"detail": f"{HEADER} {problem}."}
    path = f"/api/invoices/{case.seen.uuid}/"
    for answer in (
        await client.get(LIST, headers=headers),
        await client.get("/api/invoices/?state=bogus", headers=headers),
        await client.post(f"{path}paid/", headers=headers),
        await client.post(f"{path}set_backend_id/", headers=headers, json={"backend_id": "x"}),
    ):
        assert (answer.status_code, answer.json()) == (400, expected)
    changed = text("SELECT count(*) FROM invoices WHERE state = 'paid' OR backend_id <> ''")
    assert (await connection.execute(changed)).scalar_one() == 0


async def test_a_repeated_header_is_refused(case: Case, client: httpx.AsyncClient) -> None:
    headers = [*case.staff.headers.items(), (HEADER, str(case.owner.uuid))]
    answer = await client.get(LIST, headers=[*headers, (HEADER, str(case.owner.uuid))])
    assert (answer.status_code, answer.json()) == (400, {"detail": f"{HEADER} must be one UUID."})


async def test_an_inactive_user_cannot_be_impersonated(
    case: Case, client: httpx.AsyncClient, make: Factories
) -> None:
    gone = await make.user(is_staff=True, is_active=False)
    answer = await client.get(LIST, headers=case.acting_as(gone))
    expected = {"detail": f"{HEADER} names a user who is not active."}
    assert (answer.status_code, answer.json()) == (400, expected)


async def test_the_header_is_ignored_unless_the_caller_is_staff(
    case: Case, client: httpx.AsyncClient, make: Factories, statements: list[str]
) -> None:
    support, without_roles = await make.support(), await make.user()
    everything = {str(case.seen.uuid), str(case.unseen.uuid)}
    for user, seen in (
        (support, everything),
        (case.owner, {str(case.seen.uuid)}),
        (without_roles, set()),
    ):
        assert uuids(await client.get(LIST, headers=user.headers)) == seen
        for value in (case.staff.uuid, case.owner.uuid, uuid4(), "x", ""):
            statements.clear()
            answer = await client.get(LIST, headers=case.acting_as(str(value), by=user))
            assert uuids(answer) == seen
            assert len(statements) <= 3
            assert not any("FROM users" in statement for statement in statements)
    wrong = {"Authorization": "Token wrong", HEADER: str(case.owner.uuid)}
    assert (await client.get(LIST, headers=wrong)).json() == {"detail": "Invalid token."}


async def test_impersonation_does_not_change_the_cached_callers(
    case: Case, client: httpx.AsyncClient, statements: list[str]
) -> None:
    """The cache holds each token's own user, so impersonation costs one more query."""
    clock.freeze(clock.now())
    everything = {str(case.seen.uuid), str(case.unseen.uuid)}
    await client.get(LIST, headers=case.staff.headers)
    for _ in range(2):
        statements.clear()
        assert uuids(await client.get(LIST, headers=case.staff.headers)) == everything
        as_staff = len(statements)
        statements.clear()
        answer = await client.get(LIST, headers=case.acting_as(case.owner))
        assert uuids(answer) == {str(case.seen.uuid)}
        assert len([each for each in statements if "FROM users" in each]) == 1
        assert len(statements) <= as_staff + 2  # the user, and the page that was not cached
        assert uuids(await client.get(LIST, headers=case.owner.headers)) == {str(case.seen.uuid)}


async def test_a_deactivated_user_can_no_longer_be_impersonated(
    case: Case, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    assert (await client.get(LIST, headers=case.acting_as(case.owner))).is_success
    await connection.execute(text("UPDATE users SET is_active = false WHERE username = 'otto'"))
    assert (await client.get(LIST, headers=case.acting_as(case.owner))).status_code == 400


async def test_former_staff_act_as_themselves(
    case: Case, client: httpx.AsyncClient, connection: AsyncConnection
) -> None:
    moment = clock.now()
    clock.freeze(moment)
    assert (await client.get(LIST, headers=case.acting_as(case.owner))).is_success
    await connection.execute(text("UPDATE users SET is_staff = false WHERE username = 'anna'"))
    clock.freeze(moment + timedelta(seconds=LOOKUP_LIFETIME + 1))
    assert uuids(await client.get(LIST, headers=case.acting_as(case.owner))) == set()


async def test_etags_differ_between_users(case: Case, client: httpx.AsyncClient) -> None:
    every = await client.get(LIST, headers=case.staff.headers)
    known = {"If-None-Match": every.headers["etag"]}
    answer = await client.get(LIST, headers={**case.acting_as(case.owner), **known})
    assert uuids(answer) == {str(case.seen.uuid)}
    assert answer.headers["cache-control"] == "private, no-cache"
    own = await client.get(LIST, headers=case.owner.headers)
    assert own.headers["etag"] == answer.headers["etag"]
    unseen = f"/api/invoices/{case.unseen.uuid}/"
    whole = await client.get(unseen, headers=case.staff.headers)
    known = {"If-None-Match": whole.headers["etag"]}
    hidden = await client.get(unseen, headers={**case.acting_as(case.owner), **known})
    assert hidden.status_code == 404


async def test_an_idempotency_key_belongs_to_the_impersonated_user(
    case: Case, client: httpx.AsyncClient, make: Factories
) -> None:
    path = f"/api/invoices/{case.seen.uuid}/set_backend_id/"
    other = await make.staff()
    key = {"Idempotency-Key": "one"}

    async def set_to(value: str, headers: dict[str, str]) -> tuple[int, str | None]:
        answer = await client.post(path, json={"backend_id": value}, headers={**headers, **key})
        return answer.status_code, answer.headers.get("idempotent-replayed")

    assert await set_to("a", case.acting_as(other)) == (200, None)
    assert await set_to("a", case.acting_as(other)) == (200, "true")
    assert await set_to("a", other.headers) == (200, "true")
    assert await set_to("b", case.staff.headers) == (200, None)


async def test_the_rate_limit_of_the_sent_token_applies(
    settings: Settings, make: Factories
) -> None:
    staff, other = await make.staff(), await make.staff()
    limited = Settings(**{**settings.model_dump(), "rate_limit_token": "2/minute"})
    app = create_app(limited)
    async with app.router.lifespan_context(app), client_of(app) as client:
        headers = {**staff.headers, HEADER: str(other.uuid)}
        statuses = [(await client.get(LIST, headers=headers)).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await client.get(LIST, headers=other.headers)).status_code == 200


async def test_the_log_has_the_uuids_of_both_users(case: Case, client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs() as logged:
        await client.get(LIST, headers=case.acting_as(case.owner))
        await client.get(LIST, headers=case.acting_as("secret"))
        await client.get(LIST, headers=case.acting_as("secret", by=case.owner))
    named = [(entry["user"], entry.get("impersonator")) for entry in logged]
    anna, otto = str(case.staff.uuid), str(case.owner.uuid)
    assert named == [(otto, anna), (anna, None), (otto, None)]
    assert not any(word in str(logged) for word in ("secret", "anna", "otto"))


async def test_every_operation_with_authentication_supports_the_header(
    case: Case, app: FastAPI, client: httpx.AsyncClient
) -> None:
    seen = 0
    for route in iter_route_contexts(app.routes):
        dependant = getattr(route, "dependant", None)
        if dependant is None or access_of(dependant) is None:
            continue
        path = (route.path or "").replace("{uuid}", str(case.seen.uuid))
        for method in route.methods or ():
            answer = await client.request(method, path, headers=case.acting_as(uuid4()))
            assert answer.status_code == 400, (method, path)
            seen += 1
    assert seen >= 20
    for path in ("/health/live", "/api/docs", "/api/schema.json"):
        assert (await client.get(path, headers=case.acting_as(uuid4()))).status_code == 200


async def problems(database: Database, settings: Settings) -> list[str]:
    return [str(found) async for found in verify(database, settings, VerificationResult())]


async def act(case: Case, client: httpx.AsyncClient) -> UserRow:
    """Change an invoice while impersonating another member of staff, then as that user."""
    other = await case.make.user(is_staff=True, username="olga")
    path = f"/api/invoices/{case.seen.uuid}/set_backend_id/"
    for value, headers in (("a", case.acting_as(other)), ("b", other.headers)):
        answer = await client.post(path, json={"backend_id": value}, headers=headers)
        assert answer.status_code == 200, answer.text
    return other


@pytest.mark.parametrize(("style", "written"), [("hyphens", str), ("hex", lambda uuid: uuid.hex)])
async def test_the_audit_trail_names_both_users(
    case: Case, connection: AsyncConnection, style: str, written: Callable[[UUID], str]
) -> None:
    await case.make.token(case.staff, "the-key", name="console")
    case.staff = UserRow(case.staff.id, case.staff.uuid, "the-key")
    app = create_app(case.settings.model_copy(update={"wire_uuid_style": style}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        other = await act(case, client)
        # The audit trail keeps the usernames of the time of the change.
        await connection.execute(text("UPDATE users SET username = 'x' || username"))
        path = f"/api/invoices/{case.seen.uuid}/history/"
        itself, acted = (await client.get(path, headers=other.headers)).json()
        then = await client.get(
            f"{path}at/?timestamp={acted['revision_date']}", headers=other.headers
        )
    olga = {"uuid": written(other.uuid), "username": "olga"}
    anna = {"uuid": written(case.staff.uuid), "username": "anna"}
    assert acted["revision_user"] == {**olga, "token": "console", "impersonator": anna}
    assert itself["revision_user"] == {**olga, "token": ""}
    assert then.json()["revision_user"] == acted["revision_user"]


@pytest.mark.parametrize(
    ("change", "entry"),
    [
        ("impersonator_uuid = NULL, impersonator_username = '' WHERE sequence = 1", 1),
        ("impersonator_uuid = gen_random_uuid() WHERE sequence = 1", 1),
        ("impersonator_username = 'olga' WHERE sequence = 1", 1),
        ("impersonator_uuid = user_uuid, impersonator_username = username WHERE sequence = 2", 2),
    ],
)
async def test_verification_detects_a_changed_impersonator(
    case: Case, client: httpx.AsyncClient, change: str, entry: int
) -> None:
    await act(case, client)
    before = await problems(case.database, case.settings)
    async with case.database.transaction() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text(f"UPDATE invoice_history SET {change}"))
    found = set(await problems(case.database, case.settings)) - set(before)
    assert len(found) == 1
    assert f"entry {entry}: the entry or its recorded changes were modified" in found.pop()


async def test_the_impersonator_is_exported_and_imported(
    case: Case, client: httpx.AsyncClient, second_database_url: str, tmp_path: Path
) -> None:
    await act(case, client)
    file = tmp_path / "export.jsonl"
    file.write_bytes(
        b"".join([piece async for piece in export_lines(case.database, case.settings)])
    )
    there = case.settings.model_copy(update={"database_url": second_database_url})
    elsewhere = Database(there)
    try:
        await import_file(elsewhere, there, str(file))
        assert not [found for found in await problems(elsewhere, there) if "modified" in found]
        async with elsewhere.reading() as connection:
            rows = await connection.execute(
                text(
                    "SELECT username, impersonator_uuid, impersonator_username"
                    " FROM invoice_history WHERE operation <> 'import' ORDER BY sequence"
                )
            )
            assert [tuple(row) for row in rows] == [
                ("olga", case.staff.uuid, "anna"),
                ("olga", None, ""),
            ]
    finally:
        await elsewhere.close()
