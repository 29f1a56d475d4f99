"""Failed logins in the log: whence and why, not too often, and never with what was sent."""

import asyncio
from ipaddress import ip_address

import httpx
import pytest
from structlog.testing import capture_logs

from app.identity import failed_logins
from app.identity.failed_logins import MAX_ADDRESSES, FailedLogins
from tests.support.factories import Factories

REASON = "Invalid token."


async def test_an_address_is_told_of_at_once_and_then_counted() -> None:
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


async def test_many_addresses_are_counted_together() -> None:
    logins = FailedLogins()
    with capture_logs() as logs:
        for number in range(5000):
            logins.record(ip_address(number), REASON, "/")
        logins.flush()
    assert len(logs) == MAX_ADDRESSES + 1
    assert logs[-1]["attempts"] == 5000 - MAX_ADDRESSES


async def test_a_period_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_logins, "PERIOD", 0.01)
    logins = FailedLogins()
    with capture_logs() as logs:
        for told in (2, 4):
            logins.record(ip_address("192.0.2.1"), REASON, "/")
            logins.record(ip_address("192.0.2.1"), REASON, "/")
            async with asyncio.timeout(5):
                while len(logs) < told:  # noqa: ASYNC110 - nobody tells
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
async def test_no_part_of_a_token_is_told(
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


async def test_good_tokens_and_none_are_no_failed_logins(
    client: httpx.AsyncClient, make: Factories
) -> None:
    headers = (await make.staff()).headers
    with capture_logs() as logs:
        assert (await client.get("/api/invoices/", headers=headers)).status_code == 200
        assert (await client.get("/api/invoices/")).status_code == 401
    assert [entry["event"] for entry in logs] == ["request", "request"]
