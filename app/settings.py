"""The settings of the service: name, default, unit and purpose of each.

They are read from environment variables with the names below in upper case. The command that starts
builds `Settings` once and passes it on.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Network, IPv6Network, ip_network
from operator import attrgetter, not_
from pathlib import Path
from typing import Annotated, Literal, Self

from babel import Locale, UnknownLocaleError
from limits import RateLimitItem, parse, parse_many
from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    PositiveInt,
    SecretStr,
    UrlConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import Url
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.billing.currencies import Currency, get_currency
from app.billing.party_details import (
    check_bic,
    check_endpoint,
    check_endpoint_scheme,
    check_registration_scheme,
)
from app.mailbox import Mailbox
from app.proof_settings import ProofStoreSettings
from app.server_urls import check_redis_url, postgresql_url, writable_postgresql_url

Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(partial(ip_network, strict=False))]

_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.\[\]:-]+")

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that JSON may have and PostgreSQL does not store."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError(f"{value} is neither an origin such as https://example.com nor *")
    return value


def _rate(value: object) -> object:
    """Parse a rate such as `600/minute`; None for `off`."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "off":
        return None
    try:
        (rate,) = parse_many(value)
    except ValueError:
        rate = None
    if rate is None or rate.amount < 1:
        raise ValueError("the value must be a rate such as 600/minute, or off")
    return rate


def _json_object(value: object) -> object:
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from error
        if any(_UNSTORABLE.search(text) for text in _texts_of(parsed)):
            raise ValueError("null and surrogate characters cannot be stored")
        return parsed
    return value


def _texts_of(value: object) -> Iterator[str]:
    """Yield all keys and texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _texts_of(pair)
    elif isinstance(value, list | tuple):
        for element in value:
            yield from _texts_of(element)


def _currency(value: object) -> object:
    return get_currency(value) if isinstance(value, str) else value


def _known_locale(identifier: str) -> str:
    try:
        return str(Locale.parse(identifier.replace("-", "_")))
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(f"{identifier} is not a known locale") from error


def _single_mailbox(value: str) -> str:
    Mailbox.parse(value)
    return value


def _without_trailing_slash(url: AnyHttpUrl | None) -> str | None:
    return None if url is None else str(url).rstrip("/")


_OptionalText = Annotated[str, Field(exclude_if=not_)]
"""Text that is sent only if it is set."""


class IssuerDetails(BaseModel):
    """The issuer of the invoices; additional keys are sent unchanged."""

    model_config = ConfigDict(extra="allow")

    name: str = ""
    address: str = ""
    country: str = ""
    country_name: str = ""
    email: str = ""
    postal: str = ""
    phone_number: str = ""
    bank_name: str = ""
    bank_account: str = ""
    vat_code: str = ""

    city: _OptionalText = ""
    registration_code: _OptionalText = ""
    registration_scheme: Annotated[_OptionalText, AfterValidator(check_registration_scheme)] = ""
    """The scheme of the registration code, of the ICD list (ISO 6523)."""
    endpoint: _OptionalText = ""
    """The electronic address from which e-invoices are sent."""
    endpoint_scheme: Annotated[_OptionalText, AfterValidator(check_endpoint_scheme)] = ""
    """The scheme of the electronic address, of the EAS list."""
    contact_name: _OptionalText = ""
    tax_number: _OptionalText = ""
    """The tax number of an issuer without a VAT number."""
    bic: Annotated[_OptionalText, AfterValidator(check_bic)] = ""
    """The business identifier code of the bank."""
    account_holder: _OptionalText = ""
    """The holder of the bank account, if not the issuer."""
    invoice_note: _OptionalText = ""
    """A note on every invoice."""

    @model_validator(mode="after")
    def _check_endpoint(self) -> Self:
        check_endpoint(self.endpoint, self.endpoint_scheme)
        return self


Origin = Annotated[str, AfterValidator(_origin)]
CurrencySetting = Annotated[
    InstanceOf[Currency],
    NoDecode,
    BeforeValidator(_currency),
    PlainSerializer(attrgetter("code"), return_type=str),
]
AuditKey = Annotated[SecretStr, Field(min_length=32)]
Rate = Annotated[InstanceOf[RateLimitItem] | None, NoDecode, BeforeValidator(_rate)]
BaseUrl = Annotated[AnyHttpUrl | None, AfterValidator(_without_trailing_slash)]


class DatabaseSettings(BaseSettings):
    """The database, its connection pool and its timeouts."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: Annotated[str, AfterValidator(writable_postgresql_url)] = Field(repr=False)
    """The PostgreSQL database, as `postgresql://user:password@host:port/name`; a primary and its
    standbys as `host:port,host:port`."""
    database_pool_size: PositiveInt = 16
    """The maximum number of connections of a process; further requests wait for one.

    An API process has one more, for its probes."""
    database_pool_timeout: PositiveInt = 5
    """Seconds that a request waits for a connection before it gets a 503."""
    database_request_timeout: PositiveInt = 8
    """Seconds that a request may spend on the database in total before it gets a 503."""
    database_statement_timeout: PositiveInt = 30
    """Seconds after which PostgreSQL cancels a statement of a request."""
    database_lock_timeout: PositiveInt = 5
    """Seconds that a statement waits for a lock of another transaction."""
    database_pgbouncer: bool = False
    """Whether DATABASE_URL points to PgBouncer in transaction mode, or to a similar pooler."""


class AuditSettings(DatabaseSettings):
    """Settings of commands that change invoices or verify the audit record."""

    audit_key: AuditKey
    """The secret key of the audit record, of at least 32 characters. Keep it apart from the
    database and its backups."""
    audit_keys_previous: Annotated[tuple[AuditKey, ...], NoDecode, BeforeValidator(_split)] = ()
    """Keys of earlier entries, comma-separated; `audit verify` accepts them, too."""
    currency: CurrencySetting = get_currency("EUR")
    """The ISO 4217 code of the currency of all amounts, which sets their decimals. It is fixed once
    the database has an invoice."""


class ProofSettings(AuditSettings, ProofStoreSettings):
    """Settings of commands that store payments with their proofs."""


class Settings(ProofSettings):
    """The settings of the API and the worker."""

    redis_url: Annotated[str, AfterValidator(check_redis_url)] = Field(repr=False)
    """The Redis-compatible queue, as `redis://host:port/0` or `unix:///path/to/socket`, or its
    sentinels, as `redis+sentinel://host:port,host:port/service/0`."""
    database_read_url: Annotated[str, AfterValidator(postgresql_url)] | None = Field(
        default=None, repr=False
    )
    """A standby of the database, or several, for reads of the API: those that it has replayed far
    enough for. Without it, the server at DATABASE_URL is read."""
    database_read_max_lag: PositiveInt = 10
    """Seconds by which a standby may lag behind before no read goes to it."""

    queue_name: str = Field(default="invoicing", min_length=1)
    """The name of the queue; deployments that share a Redis server need different names."""
    job_lease: PositiveInt = 30
    """Seconds after which another worker takes over a job whose worker died."""

    smtp_url: Annotated[Url, UrlConstraints(allowed_schemes=["smtp", "smtps"])] | None = Field(
        default=None, repr=False
    )
    """The mail server, as `smtp://user:password@host:587` (STARTTLS if offered) or `smtps://`.
    Without it, mail is written to files in MAIL_DIR."""
    smtp_timeout: PositiveInt = 30
    """Seconds that one command to the mail server may take."""
    smtp_connections: PositiveInt = 16
    """Connections that a worker has to the mail server at most, and mails that it sends at once."""
    mail_from: Annotated[str, AfterValidator(_single_mailbox)] = "billing@localhost"
    """The sender of notifications, an address or `Name <address>`."""
    mail_dir: Path = Path("var/mail")
    """The directory of `.eml` files without SMTP_URL."""
    notification_ubl_profile: Literal["en16931", "peppol", "xrechnung"] | None = None
    """The profile of the UBL file that notifications attach beside the PDF. Without it, there is
    none."""
    report_recipients: Annotated[
        tuple[Annotated[str, AfterValidator(_single_mailbox)], ...],
        NoDecode,
        BeforeValidator(_split),
    ] = ()
    """Addresses, comma-separated, that get the report of each month once its invoices are issued.
    Without any, there are no monthly reports."""

    document_cache_bytes: PositiveInt = 32 * 1024 * 1024
    """Bytes of memory of a process for its cache of rendered documents: responses of the API, and
    the files that a worker attaches to mail."""

    public_url: BaseUrl = None
    """The base URL of links to this service; by default the request's scheme and host."""
    platform_url: BaseUrl = None
    """The base URL of links to customers and resources; by default the same as PUBLIC_URL."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_split)] = ()
    """Addresses or networks, comma-separated, whose `X-Forwarded-*` headers are trusted."""
    wire_uuid_style: Literal["hyphens", "hex"] = "hyphens"
    """The form of UUIDs in responses: hyphens (RFC 9562), or 32 hex digits as in a Waldur."""

    locale: Annotated[str, AfterValidator(_known_locale)] = "en"
    """The locale of country names, and of documents and mail for customers without a language."""
    issuer_details: Annotated[IssuerDetails, NoDecode, BeforeValidator(_json_object)] = (
        IssuerDetails()
    )
    """A JSON object: name, address, country, country_name, email, postal, phone_number, bank_name,
    bank_account, vat_code. For documents: city, registration_code, registration_scheme, endpoint,
    endpoint_scheme, contact_name, tax_number, bic, account_holder, invoice_note. Any further keys
    are sent, too."""
    payment_interval_days: int = Field(default=30, ge=0)
    """Days from the invoice date to the due date."""
    customer_affiliates: bool = False
    """Whether affiliates of customers earn fees from issued invoices."""
    finalization_grace_hours: int = Field(default=0, ge=0, le=672)
    """Hours after the end of a month in which its invoices wait for late usage, in the state
    `pending_finalization`, before they are issued; 0 for none, at most 28 days."""
    notify_on_issue: bool = False
    """Whether the customer is notified of each newly issued invoice and each new credit note."""

    drain_seconds: float = Field(default=5, ge=0, le=15)
    """Seconds after SIGTERM in which a process reports not ready, but still accepts requests."""
    rate_limit_token: Rate = parse("6000/minute")
    """The limit of requests for each token, as `600/minute` or `10/second`; `off` for none."""
    rate_limit_address: Rate = parse("1200/minute")
    """The limit of requests without a valid token for each address, or IPv6 network of 64 bits."""
    rate_limit_failed_logins: Rate = parse("60/minute")
    """The limit of invalid tokens for each address, after which it must wait."""
    client_timeout: PositiveInt = 30
    """Seconds that a client may take to send the head of a request, to send more of a body, or to
    read more of a response."""
    max_connections: PositiveInt = 1000
    """The maximum number of client connections of a process; requests on further ones get a 503."""
    cors_allow_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = ()
    """Origins, comma-separated, whose pages may call the API from a browser; `*` for all."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    metrics_host: str = "127.0.0.1"
    """The address on which metrics are served to Prometheus."""
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """The TCP port of the metrics of all API processes; 0 for none."""
    worker_metrics_port: int = Field(default=9465, ge=0, le=65535)
    """The TCP port of a worker's metrics; 0 for none."""

    @property
    def finalization_grace(self) -> timedelta:
        """The time that a month waits for late usage after its end."""
        return timedelta(hours=self.finalization_grace_hours)

    @model_validator(mode="after")
    def _fill_in_country_name(self) -> Self:
        issuer = self.issuer_details
        if not issuer.country_name and issuer.country:
            territories = Locale.parse(self.locale).territories
            issuer.country_name = territories.get(issuer.country.upper(), "")
        return self


def error_messages(error: ValidationError) -> list[str]:
    """Return a line for each setting that is missing or wrong, with the reason."""
    lines = []
    for detail in error.errors(include_url=False, include_input=False):
        name = ".".join(part for part in detail["loc"] if isinstance(part, str)).upper()
        if detail["type"] == "missing":
            lines.append(f"{name} is not set.")
        else:
            reason = detail["msg"].removeprefix("Value error, ").rstrip(".")
            lines.append(f"{name} is wrong: {reason}.")
    return lines
