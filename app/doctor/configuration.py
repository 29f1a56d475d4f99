"""Checks of the settings: missing, invalid and suspicious values."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from app.doctor.check_result import CheckResult, warning, well, wrong
from app.settings import Settings, error_messages

_PLACEHOLDERS = {
    "database_url": "postgresql+asyncpg:///",
    "redis_url": "redis://",
    "audit_key": "-" * 32,
}
"""Values for required settings that are missing or invalid; nothing connects to them."""


@dataclass(frozen=True)
class Configuration:
    """The settings, with defaults in place of unusable values."""

    settings: Settings
    unusable: frozenset[str]
    """The names of settings that are missing or invalid."""
    error_messages: tuple[str, ...]
    """One line for each of these."""


def read() -> Configuration:
    """Read the settings from the environment, even if some are invalid."""
    try:
        return Configuration(Settings(), frozenset(), ())
    except ValidationError as error:
        unusable = frozenset(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
        defaults = {
            name: _PLACEHOLDERS.get(name, Settings.model_fields[name].get_default())
            for name in unusable
        }
        return Configuration(Settings(**defaults), unusable, tuple(error_messages(error)))


def check(configuration: Configuration) -> Iterator[CheckResult]:
    """Yield each invalid and each suspicious setting."""
    settings = configuration.settings
    for message in configuration.error_messages:
        yield wrong(message, "See `Settings` in docs/operating.md.")
    warnings = list(_warnings(settings))
    yield from warnings
    if not configuration.error_messages and not warnings:
        yield well(f"all {len(Settings.model_fields)} settings are valid")


def _warnings(settings: Settings) -> Iterator[CheckResult]:
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield warning(
            "TRUSTED_PROXIES includes every address, so any client can forge its own address",
            "Name only the gateway's address or network.",
        )
    if settings.trusted_proxies and settings.public_url is None:
        yield warning(
            "PUBLIC_URL is not set, so links use the host that the gateway forwards",
            "Set PUBLIC_URL, unless clients reach the service under several names.",
        )
    if settings.mail_from == Settings.model_fields["mail_from"].default:
        yield warning(
            f"MAIL_FROM is {settings.mail_from}, to which nobody can reply",
            "Set it to an address that you read.",
        )
    if settings.report_recipients and settings.smtp_url is None:
        yield warning(
            "REPORT_RECIPIENTS is set, but monthly reports are written to files in MAIL_DIR",
            "Set SMTP_URL.",
        )
    if not settings.issuer_details.name:
        yield warning(
            "ISSUER_DETAILS has no name, so invoices do not name their issuer",
            "Set it to a JSON object with name, address, country and so on.",
        )
