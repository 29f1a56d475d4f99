"""No process logs secrets or personal data, whether work succeeds or fails."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from uuid import uuid4

import httpx
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pydantic_core import Url
from sqlalchemy import String, cast, exists, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.deliveries.models import Delivery
from app.logging import configure_logging, describe_error
from app.outbox import repository as outbox
from app.outbox.models import OutboxEntry
from app.settings import Settings
from tests.support.factories import Factories, Row
from tests.support.server import run_server
from tests.support.smtp import run_mail_server
from tests.support.worker import start_process, until, worker_process

NAME, PERSON, REFERENCE, FILE = "Canary-Holding", "canary.person", "REF-CANARY-7", "canary-file"
REFUSED, TAKEN, NOBODY = "refused@canary.example", "taken@canary.example", "canary nobody"
PASSWORD, QUERY, BAD_KEY = "canary-password", "canary-query", "canary-key"
CAUSE = "the-request-that-caused-it"


class Door:
    """Checks logins; while it is shut, it refuses them and repeats what it heard."""

    shut = True

    def __call__(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        """Check a login."""
        if not self.shut:
            return AuthResult(success=True)
        words = f"535 5.7.8 {PERSON} with {PASSWORD}: authentication failed"
        return AuthResult(success=False, handled=False, message=words)


async def use(client: httpx.AsyncClient, staff_key: str, invoices: list[Row]) -> None:
    """Send secret and personal values everywhere, in good requests and in bad ones."""
    one, other = (f"/api/invoices/{invoice.uuid}" for invoice in invoices)
    pdf = (f"{FILE}.pdf", b"%PDF-1.7 proof", "application/pdf")
    for path, proof in ((one, pdf), (one, pdf), (other, (FILE, b"x", "a/b"))):
        await client.post(f"{path}/paid/", data={"date": "2026-11-01"}, files={"proof": proof})
    for value in (REFERENCE, REFERENCE * 99, REFERENCE + "\0"):
        await client.post(f"{one}/set_reference_number/", json={"reference_number": value})
    for path in (
        f"/api/invoices/?customer_uuid={QUERY}&o={QUERY}&field={QUERY}",
        f"/api/invoices/{REFUSED}/",
        f"/api/invoices/{staff_key}/?x={QUERY}",
        f"/{NAME}/{PERSON}/",
        f"/{NAME}/api/invoices",
    ):
        await client.get(path)
    for headers in ({"Authorization": f"Token {BAD_KEY}"}, {"X-Request-ID": f"{NAME}@"}):
        await client.get("/api/invoices/", headers=headers)


async def import_what_is_wrong(settings: Settings, place: Path, output: Path) -> None:
    """Let every stage of an import refuse a record."""
    moment = "2026-01-01T00:00:00Z"
    customer = {"kind": "customer", "name": NAME, "accounting_start_date": moment}
    records: list[Mapping[str, object]] = [
        {"kind": PERSON, "uuid": str(uuid4())},
        {"kind": "user", "uuid": PERSON, "username": PERSON, "email": 1, "created_at": QUERY},
        customer | {"uuid": str(uuid4()), "created_at": moment, "vat_code": REFERENCE * 9},
        {"kind": "project", "uuid": str(uuid4()), "customer": NAME, "name": NAME},
        *(
            {"kind": "user", "uuid": str(uuid4()), "username": PERSON, "created_at": moment}
            for _ in range(2)
        ),
    ]
    source = place / "records.jsonl"
    source.write_text("\n".join([f'{{"{NAME}', *map(json.dumps, records)]))
    costs = place / "costs.csv"
    costs.write_text(
        "BilledCost,BillingCurrency,BillingAccountId,ChargePeriodStart,ChargePeriodEnd\n"
        f"{NAME},EUR,a,{PERSON},{QUERY}\n"
    )
    for arguments in ((str(source),), (str(costs), "--format", "focus")):
        process = await start_process(settings, "-m", "app", "import", *arguments, log=output)
        assert await process.wait() == 1


async def attempted(connection: AsyncConnection, times: int) -> bool:
    """Return whether each delivery is settled, or was tried so often and its job is postponed."""
    job = OutboxEntry.arguments["delivery"].astext == cast(Delivery.uuid, String)
    statement = select(Delivery.attempts, Delivery.state).add_columns(
        exists().where(job, OutboxEntry.due_at >= Delivery.next_attempt_at).label("postponed")
    )
    rows = (await connection.execute(statement)).all()
    return bool(rows) and all(
        row.state in ("sent", "failed")
        or (row.state == "pending" and row.attempts >= times and row.postponed)
        for row in rows
    )


async def send_what_is_scheduled(
    settings: Settings, connection: AsyncConnection, output: Path
) -> None:
    """Let a worker meet a mail server that refuses its login, and then one of its recipients."""
    door = Door()
    async with run_mail_server(authenticator=door, auth_require_tls=False) as sink:
        sink.refused = {REFUSED: f"550 5.1.1 <{REFUSED}>: {PERSON} unknown here"}
        url = Url(sink.url.replace("//", f"//{PERSON}:{PASSWORD}@"))
        async with worker_process(
            settings.model_copy(update={"smtp_url": url}), log=output
        ) as worker:
            await until(lambda: attempted(connection, 1))
            door.shut = False
            for now in (
                "UPDATE notification_deliveries SET next_attempt_at = now()"
                " WHERE state = 'pending'",
                "UPDATE outbox SET due_at = now() WHERE done_at IS NULL",
            ):
                await connection.execute(text(now))
            await until(lambda: attempted(connection, 2))
            worker.terminate()  # in order, since it logs its work only afterwards
            await worker.wait()
        assert [mail.recipients for mail in sink.mailbox] == [[TAKEN]]


async def test_no_process_logs_secrets_or_personal_data(
    settings: Settings, make: Factories, connection: AsyncConnection, tmp_path: Path
) -> None:
    staff, key = await make.staff(), token_hex(20)
    await make.token(staff, key)
    customer = await make.customer(name=NAME)
    await make.profile(customer)
    for address in (REFUSED, TAKEN, NOBODY):
        await make.role(await make.user(username=PERSON + address, email=address), customer)
    created = InvoiceState.CREATED
    invoices = [await make.invoice(await make.customer(name=NAME), state=created) for _ in "12"]
    sent = await make.invoice(customer, state=created)
    for bad in ({"delivery": PERSON}, {PERSON: NAME}):
        await outbox.record_job(connection, "deliver", bad)
    served, worked, imported = (tmp_path / name for name in ("server.log", "worker", "import"))

    authorized = {"Authorization": f"Token {key}"}
    environment = {"DATABASE_URL": settings.database_url.replace("+asyncpg", "")}
    async with (
        run_server(environment | {"QUEUE_NAME": settings.queue_name}, tmp_path) as server,
        httpx.AsyncClient(base_url=server.url, headers=authorized) as client,
    ):
        await use(client, key, invoices)
        # An unexpected error: a table does not exist.
        await connection.execute(text("ALTER TABLE invoices RENAME TO lost"))
        assert (await client.get(f"/api/invoices/{sent.uuid}/")).status_code == 500
        await connection.execute(text("ALTER TABLE lost RENAME TO invoices"))
        path = f"/api/invoices/{sent.uuid}/send_notification/"
        answer = await client.post(path, headers={"X-Request-ID": CAUSE})
        assert answer.status_code == 200

    await send_what_is_scheduled(settings, connection, worked)
    await import_what_is_wrong(settings, tmp_path, imported)

    lines = [
        json.loads(line) for file in (served, worked) for line in file.read_text().splitlines()
    ]
    for secret in (
        *(NAME, PERSON, REFERENCE, FILE, REFUSED, TAKEN, NOBODY, PASSWORD, QUERY, BAD_KEY),
        *(key, staff.key, "canary"),
    ):
        for file in (served, worked, imported):
            found = [line for line in file.read_text().splitlines() if secret in line]
            assert not found, (secret, found)

    requests = [line for line in lines if line["event"] == "request"]
    asked = [
        (line["operation"], line["path"]) for line in requests if "/health/" not in line["path"]
    ]
    assert ("invoices_retrieve", "/api/invoices/*/") in asked
    assert ("none", "/*/*/") in asked
    assert ("none", "/*/api/invoices") in asked
    assert ("invoices_paid", f"/api/invoices/{invoices[0].uuid}/paid/") in asked
    (scheduling,) = [line for line in requests if line["request_id"] == CAUSE]
    assert scheduling["user"] == str(staff.uuid)
    assert (scheduling["status"], scheduling["method"]) == (200, "POST")
    (failed,) = [line for line in lines if line["event"] == "request failed"]
    assert failed["exception"][0]["frames"]
    assert failed["exception"][0]["exc_value"].endswith("(SQLSTATE 42P01)")
    # The work that followed has the same id, in the other process.
    followed = {line["event"] for line in lines if line.get("request_id") == CAUSE}
    assert {"delivery sent", "delivery postponed", "delivery failed", "job done"} <= followed
    reasons = {line.get("reason") for line in lines if line["event"].startswith("delivery")}
    assert "The mail server answered 550 5.1.1" in reasons
    assert "The mail server answered 535 5.7.8" in reasons
    # The whole stays with what failed.
    kept = (await connection.execute(select(Delivery.last_error))).scalars().all()
    assert any(REFUSED in error for error in kept)


@pytest.mark.usefixtures("own_logs")
def test_logged_errors_quote_no_values(capsys: pytest.CaptureFixture[str]) -> None:
    given = Settings(database_url="postgresql://u:canary@h/n", redis_url="redis://:canary@h")
    assert "canary" not in repr(given)
    configure_logging(given.model_copy(update={"log_format": "json"}))
    try:
        raise ExceptionGroup("canary", [ValueError("canary"), FileNotFoundError(2, "Gone")])
    except ExceptionGroup:
        logging.getLogger("other").exception("failed")
    logging.getLogger("asyncio").error("Task failed\ntask: ValueError('canary')")
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "canary" not in str(events)
    chain = [(each["exc_type"], each["exc_value"]) for each in events[0]["exception"]]
    assert chain == [("ExceptionGroup", ""), ("ValueError", ""), ("FileNotFoundError", "Gone")]
    assert events[1]["event"] == "Task failed"
    assert describe_error(TimeoutError()) == "TimeoutError"
