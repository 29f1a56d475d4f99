"""The worker logs the beginning and the end of an outage of its database once each."""

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from app.database import engine
from app.database.errors import DatabaseReadOnly
from app.jobs.poll_log import DatabaseOutage

pytestmark = pytest.mark.quick

_ERROR = DatabaseReadOnly(Exception("cannot execute UPDATE in a read-only transaction"))


def _events(logged: list[EventDict]) -> list[str]:
    return [line["event"] for line in logged]


def test_a_success_between_two_failures_does_not_end_an_outage() -> None:
    outage = DatabaseOutage()
    with capture_logs() as logged:
        outage.begin(_ERROR)
        outage.end()
        outage.begin(_ERROR)
    assert _events(logged) == ["database read-only"]


def test_an_outage_ends_once_no_session_of_it_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "REPLACE_AFTER", 0.0)
    outage = DatabaseOutage()
    with capture_logs() as logged:
        outage.begin(_ERROR)
        outage.end()
        outage.end()
    assert _events(logged) == ["database read-only", "database usable again"]
