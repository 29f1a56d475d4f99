"""The settings: what is missing or wrong, and what is hardly meant so."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from app.doctor.check_result import CheckResult, warning, well, wrong
from app.settings import Settings, error_messages

_HOLD_PLACES = {
    "database_url": "postgresql+asyncpg:///",
    "redis_url": "redis://",
    "audit_key": "-" * 32,
}
"""What stands for a required setting that cannot be used; nothing is looked for there."""


@dataclass(frozen=True)
class Configuration:
    """The settings as far as they can be used."""

    settings: Settings
    unusable: frozenset[str]
    """The names of those that were missing or wrong; they have their defaults, if any."""
    error_messages: tuple[str, ...]
    """A line for each of these."""


def read() -> Configuration:
    """Read the settings from the environment, however wrong some are."""
    try:
        return Configuration(Settings(), frozenset(), ())
    except ValidationError as error:
        unusable = frozenset(str(problem["loc"][0]) for problem in error.errors() if problem["loc"])
        defaults = {
            name: _HOLD_PLACES.get(name, Settings.model_fields[name].get_default())
            for name in unusable
        }
        return Configuration(Settings(**defaults), unusable, tuple(error_messages(error)))


def check(configuration: Configuration) -> Iterator[CheckResult]:
    """Tell each problem, and each setting that is suspicious."""
    settings = configuration.settings
    for problem in configuration.error_messages:
        yield wrong(problem, "See `Settings` in docs/operating.md.")
    doubts = list(_doubts(settings))
    yield from doubts
    if not configuration.error_messages and not doubts:
        yield well(f"all {len(Settings.model_fields)} are good")


def _doubts(settings: Settings) -> Iterator[CheckResult]:
    if any(network.prefixlen == 0 for network in settings.trusted_proxies):
        yield warning(
            "TRUSTED_PROXIES names everyone, so anyone can choose the address they call from",
            "Name the gateway's address or network alone.",
        )
    if settings.trusted_proxies and settings.public_url is None:
        yield warning(
            "PUBLIC_URL is not set, so links are what the gateway says the caller asked for",
            "Set PUBLIC_URL, unless the service is reached under several names.",
        )
    if settings.mail_from == Settings.model_fields["mail_from"].default:
        yield warning(
            f"MAIL_FROM is {settings.mail_from}, to which nobody can answer",
            "Set it to an address of yours.",
        )
    if not settings.issuer_details.name:
        yield warning(
            "ISSUER_DETAILS has no name, so invoices do not say who issued them",
            "Set it to a JSON object with name, address, country and so on.",
        )
