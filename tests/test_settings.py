"""Settings are documented, and named if they are missing or wrong."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import make_url

from app.settings import Settings, error_messages
from app.urls import BucketUrl
from tests.support.paths import ROOT

GOOD = {
    "DATABASE_URL": "postgresql://user:secret@host/name",
    "AUDIT_KEY": "a secret of 32 characters or more",
    "REDIS_URL": "redis://host:6379/0",
}


@pytest.fixture(autouse=True)
def _only_these(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_exactly_the_settings_are_documented() -> None:
    table = (ROOT / "docs" / "operating.md").read_text().split("## Settings")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `([A-Z0-9_]+)`", table, re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgresql://host/name?sslmod=require"),
        ("AUDIT_KEY", "a secret of 31 characters, only"),
        ("AUDIT_KEYS_PREVIOUS", f"{'x' * 32},short"),
        ("REDIS_URL", "http://host"),
        ("SMTP_URL", "http://host"),
        ("MAIL_FROM", "nobody"),
        ("CURRENCY", "ZZZZ"),
        ("LOCALE", "tlh_XX"),
        ("WIRE_UUID_STYLE", "urn"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,gateway"),
        ("PROOF_MAX_BYTES", "0"),
        ("PROOF_STORE", "/data/proofs"),
        ("PROOF_STORE", "https://s3.example/bucket"),
        ("PROOF_STORE", "s3:///prefix"),
        ("PROOF_STORE", "s3://bucket/../other"),
        ("PROOF_STORE", "s3://bucket?region=eu"),
        ("PROOF_STORE", "file://host/folder"),
        ("AWS_SECRET_ACCESS_KEY", "without its key"),
        ("AWS_ENDPOINT_URL_S3", "s3.example"),
        ("AWS_CA_BUNDLE", "/no such file"),
        ("PAYMENT_INTERVAL_DAYS", "-1"),
        ("PUBLIC_URL", "ftp://host"),
        ("CORS_ALLOW_ORIGINS", "https://a.example, https://b.example/path"),
        ("CORS_ALLOW_ORIGINS", "portal.example"),
        ("CLIENT_TIMEOUT", "0"),
        ("MAX_CONNECTIONS", "0"),
        ("RATE_LIMIT_TOKEN", "600"),
        ("RATE_LIMIT_TOKEN", "600/fortnight"),
        ("RATE_LIMIT_ADDRESS", "0/minute"),
        ("RATE_LIMIT_FAILED_LOGINS", "600/minute, 10/second"),
        ("ISSUER_DETAILS", '{"name": 1}'),
        ("ISSUER_DETAILS", "{name"),
        ("ISSUER_DETAILS", '{"name": "\\u0000"}'),
        ("ISSUER_DETAILS", '{"phone": [{"\\ud800": 1}]}'),
        ("ISSUER_DETAILS", '{"registration_scheme": "EE"}'),
        ("ISSUER_DETAILS", '{"endpoint": "EE1", "endpoint_scheme": "9999"}'),
        ("ISSUER_DETAILS", '{"endpoint": "EE1"}'),
        ("ISSUER_DETAILS", '{"endpoint": "7300010000002", "endpoint_scheme": "0088"}'),
        ("ISSUER_DETAILS", '{"bic": "EXMP"}'),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as error:
        Settings()
    lines = error_messages(error.value)
    assert len(lines) == 1
    assert lines[0].startswith(name)
    assert " is wrong: " in lines[0]
    assert not lines[0].endswith("..")


def test_each_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("REDIS_URL", "")
    with pytest.raises(ValidationError) as error:
        Settings()
    assert error_messages(error.value) == ["DATABASE_URL is not set.", "REDIS_URL is not set."]


def test_keys_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_KEYS_PREVIOUS", f"{'x' * 32}, {'y' * 32}")
    settings = Settings()
    assert [key.get_secret_value()[0] for key in settings.audit_keys_previous] == ["x", "y"]
    assert not re.search("a secret of|xxx", repr(settings))


@pytest.mark.parametrize("mode", ["disable", "require", "verify-full"])
def test_sslmode_is_accepted_as_in_libpq(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://host/name?sslmode={mode}")
    assert make_url(Settings().database_url).query == {"ssl": mode}


def test_values_are_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://billing.example.com/base/")
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("ISSUER_DETAILS", '{"country": "EE", "phone": {"code": "372"}}')
    monkeypatch.setenv("LOCALE", "de-CH")
    monkeypatch.setenv("RATE_LIMIT_TOKEN", "30 per 2 hours")
    monkeypatch.setenv("RATE_LIMIT_ADDRESS", "Off")
    settings = Settings()
    assert settings.database_url.startswith("postgresql+asyncpg://user:secret@host")
    assert settings.public_url == "https://billing.example.com/base"
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.issuer_details.country_name == "Estland"
    assert settings.issuer_details.model_dump()["phone"] == {"code": "372"}
    assert settings.locale == "de_CH"
    rate = settings.rate_limit_token
    assert rate is not None
    assert (rate.amount, rate.get_expiry()) == (30, 7200)
    assert settings.rate_limit_address is None


def test_proofs_are_in_a_folder_or_in_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings().proof_dir, Settings().proof_store) == (Path("var/proofs"), None)
    monkeypatch.setenv("PROOF_STORE", "file:///data/the%20proofs")
    assert (Settings().proof_dir, Settings().proof_store) == (Path("/data/the proofs"), None)
    monkeypatch.setenv("PROOF_STORE", "s3://bucket/some/prefix/")
    assert Settings().proof_store == BucketUrl("bucket", "some/prefix")
    monkeypatch.setenv("PROOF_STORE", "")
    monkeypatch.setenv("PROOF_DIR", "/data")
    assert (Settings().proof_dir, Settings().proof_store) == (Path("/data"), None)


@pytest.mark.parametrize("store", ["s3://bucket/prefix", "file:///data/proofs"])
@pytest.mark.parametrize("folder", ["/data/proofs", "var/proofs"])
def test_two_places_of_proofs_are_refused(
    store: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROOF_STORE", store)
    monkeypatch.setenv("PROOF_DIR", folder)
    with pytest.raises(ValidationError) as error:
        Settings()
    assert error_messages(error.value) == [
        "PROOF_STORE is wrong: PROOF_DIR, which is short for a file:/// URL, is set as well."
    ]
