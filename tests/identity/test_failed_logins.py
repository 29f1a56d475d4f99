"""Failed logins in the log: with address and reason, at a limited rate, without the token."""

import asyncio
from ipaddress import ip_address

import httpx
import pytest
from structlog.testing import capture_logs

from app.identity import failed_logins
from app.identity.failed_logins import MAX_ADDRESSES, FailedLogins
from tests.support.factories import Factories

REASON = "Invalid token."


async def test_the_first_attempt_is_logged_and_later_ones_are_counted() -> None:
    logins = FailedLogins()
    with capture_logs() as logs:
        for _ in range(1000):
            logins.record(ip_address("192.0.2.1"), REASON, "/api/invoices/")
        logins.record(None, REASON, "/")
    assert [(entry["address"], entry["reason"], entry["path"]) for entry in logs] == [
        ("192.0.2.1", REASON, "/api/invoices/"),
        ("None", REASON, "/"),
    ]
    with capture_logs() as logs:
        logins.flush()
        logins.flush()
    assert [(entry["address"], entry["attempts"]) for entry in logs] == [("192.0.2.1", 1000)]


async def test_attempts_of_further_addresses_are_added_up() -> None:
    logins = FailedLogins()
    with capture_logs() as logs:
        for number in range(5000):
            logins.record(ip_address(number), REASON, "/")
        logins.flush()
    assert len(logs) == MAX_ADDRESSES + 1
    assert logs[-1]["attempts"] == 5000 - MAX_ADDRESSES


async def test_a_period_ends_by_its_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_logins, "PERIOD", 0.01)
    logins = FailedLogins()
    with capture_logs() as logs:
        for lines in (2, 4):
            logins.record(ip_address("192.0.2.1"), REASON, "/")
            logins.record(ip_address("192.0.2.1"), REASON, "/")
            async with asyncio.timeout(60):
                while len(logs) < lines:  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.01)
    assert [entry["event"] for entry in logs] == ["failed login", "failed logins"] * 2


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Token SECRET", "Invalid token."),
        ("bearer SECRET", "Invalid token."),
        ("Token  SECRET  ", "Invalid token."),
        ("SECRET", "Authentication credentials were not provided."),
        ("Token", "Invalid token header. No credentials provided."),
        (
            "Token SECRET SECRET",
            "Invalid token header. Token string should not contain spaces.",
        ),
        ("Token SECRETé", "Invalid token."),
        ("Token\tSECRET\xff", "Invalid token."),
        ("", "Authentication credentials were not provided."),
    ],
)
async def test_no_part_of_a_token_is_logged(
    client: httpx.AsyncClient, header: str, reason: str
) -> None:
    with capture_logs() as logs:
        answer = await client.get(
            "/api/invoices/?SECRET", headers=[(b"Authorization", header.encode("latin-1"))]
        )
    assert answer.json() == {"detail": reason}
    failed, request = logs
    assert failed == {
        "event": "failed login",
        "log_level": "warning",
        "address": "127.0.0.1",
        "reason": reason,
        "path": "/api/invoices/",
    }
    assert "SECRET" not in str(request)


async def test_a_valid_or_missing_token_is_not_a_failed_login(
    client: httpx.AsyncClient, make: Factories
) -> None:
    headers = (await make.staff()).headers
    with capture_logs() as logs:
        assert (await client.get("/api/invoices/", headers=headers)).status_code == 200
        assert (await client.get("/api/invoices/")).status_code == 401
    assert [entry["event"] for entry in logs] == ["request", "request"]
