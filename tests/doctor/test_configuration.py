"""The check of the settings."""

import pytest

from app.doctor.check_result import Level
from app.doctor.configuration import check, read
from app.settings import Settings
from tests.doctor.results import is_well, only

GOOD = {
    "DATABASE_URL": "postgresql://there/x",
    "REDIS_URL": "redis://there",
    "AUDIT_KEY": "0123456789abcdef" * 4,
    "MAIL_FROM": "billing@cloud.example",
    "ISSUER_DETAILS": '{"name": "Cloud"}',
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.fixture
def good(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with settings that need no advice."""
    for name, value in GOOD.items():
        environment.setenv(name, value)
    return environment


@pytest.mark.usefixtures("environment")
def test_missing_settings_are_reported() -> None:
    configuration = read()
    assert configuration.unusable == {"database_url", "audit_key", "redis_url"}
    results = list(check(configuration))
    assert [each.message for each in results[:3]] == [
        "DATABASE_URL is not set.",
        "AUDIT_KEY is not set.",
        "REDIS_URL is not set.",
    ]
    assert [each.level for each in results] == [Level.WRONG] * 3 + [Level.WARNING] * 2


@pytest.mark.usefixtures("good")
def test_good_settings_are_well() -> None:
    assert is_well(list(check(read())))


def test_trusting_every_address_is_a_warning(good: pytest.MonkeyPatch) -> None:
    good.setenv("TRUSTED_PROXIES", "0.0.0.0/0")
    assert [each.level for each in check(read())] == [Level.WARNING] * 2


def test_a_proxy_without_a_public_url_is_a_warning(good: pytest.MonkeyPatch) -> None:
    good.setenv("TRUSTED_PROXIES", "10.0.0.1")
    assert "PUBLIC_URL" in only(list(check(read())), Level.WARNING)


def test_an_invalid_setting_is_replaced_by_its_default(good: pytest.MonkeyPatch) -> None:
    good.setenv("PROOF_MAX_BYTES", "0")
    configuration = read()
    assert configuration.settings.proof_max_bytes > 0
    assert "PROOF_MAX_BYTES is wrong" in only(list(check(configuration)), Level.WRONG)
