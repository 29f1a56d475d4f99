"""Every setting of the service: its name, default, unit and what it is for.

Settings are read from the environment, by the names below in upper case. `Settings` is built once,
by the command that starts, and handed to what needs it.
"""

import json
import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from arq.connections import RedisSettings
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
    PositiveInt,
    SecretStr,
    UrlConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import Url
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from app.billing.currencies import get_currency
from app.mailbox import Mailbox

Network = IPv4Network | IPv6Network

_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.\[\]:-]+")

_URL_OPTIONS = frozenset(
    {
        "host",
        "port",
        "user",
        "password",
        "passfile",
        "ssl",
        "target_session_attrs",
        "prepared_statement_cache_size",
        "krbsrvname",
        "gsslib",
    }
)
"""What the driver takes as text behind the `?` of a database's URL."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _split_networks(value: object) -> object:
    if isinstance(value, str):
        return [ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip()]
    return value


def _split_origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    origins = [part.strip() for part in value.split(",") if part.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is neither an origin such as https://example.com nor *")
    return origins


def _rate(value: object) -> object:
    """Return the rate that a text such as `600/minute` tells, None for `off`."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "off":
        return None
    try:
        (rate,) = parse_many(value)
    except ValueError:
        rate = None
    if rate is None or rate.amount < 1:
        raise ValueError("it must be a rate such as 600/minute, or off")
    return rate


def _json_object(value: object) -> object:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}") from error
    return value


def postgresql_url(url: str) -> str:
    """Return the URL of a database as the driver understands it; raises ValueError otherwise."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:  # which may repeat a part of the password
        raise ValueError("not a database URL") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError("the scheme must be postgresql://")
    # libpq's name, which hosters hand out, for what the driver calls otherwise.
    if "sslmode" in parsed.query:
        mode = parsed.query["sslmode"]
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    unknown = sorted(parsed.query.keys() - _URL_OPTIONS)
    if unknown:
        raise ValueError(f"its option {unknown[0]} is not known")
    return parsed.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def _redis_url(url: str) -> str:
    try:
        RedisSettings.from_dsn(url)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ValueError("the scheme must be redis://, rediss:// or unix://") from error
    return url


def _known_currency(code: str) -> str:
    return get_currency(code).code


def _known_locale(identifier: str) -> str:
    try:
        return str(Locale.parse(identifier.replace("-", "_")))
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(f"{identifier} is not a known locale") from error


def _one_mailbox(value: str) -> str:
    Mailbox.parse(value)
    return value


def _without_end_slash(url: AnyHttpUrl | None) -> str | None:
    return None if url is None else str(url).rstrip("/")


class IssuerDetails(BaseModel):
    """Who issues the invoices; keys beyond the documented ones are sent as they are."""

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


AuditKey = Annotated[SecretStr, Field(min_length=32)]
Rate = Annotated[InstanceOf[RateLimitItem] | None, NoDecode, BeforeValidator(_rate)]
BaseUrl = Annotated[AnyHttpUrl | None, AfterValidator(_without_end_slash)]


class DatabaseSettings(BaseSettings):
    """Where the records are, and how many connections a process keeps to them."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: Annotated[str, AfterValidator(postgresql_url)] = Field(repr=False)
    """PostgreSQL, as `postgresql://user:password@host:port/name`."""
    database_pool_size: PositiveInt = 16
    """Connections that a process keeps at most; further requests wait for one.

    An API process has one more, for its probes."""
    database_pool_timeout: PositiveInt = 5
    """Seconds that a request waits for a connection before it is answered with 503."""
    database_request_timeout: PositiveInt = 8
    """Seconds that a request waits for the database in all before it is answered with 503."""
    database_statement_timeout: PositiveInt = 30
    """Seconds after which PostgreSQL gives up a statement of a request."""
    database_lock_timeout: PositiveInt = 5
    """Seconds that a statement waits for what another transaction has locked."""
    database_pgbouncer: bool = False
    """Whether DATABASE_URL leads to a PgBouncer in transaction mode, or a pooler like it."""


class AuditSettings(DatabaseSettings):
    """What changes the records of invoices, or checks what was recorded of that."""

    audit_key: AuditKey
    """The secret that seals the record of changes, of at least 32 characters. It is kept apart from
    the database and its backups."""
    audit_keys_previous: Annotated[tuple[AuditKey, ...], NoDecode, BeforeValidator(_split)] = ()
    """Keys that sealed earlier entries, comma-separated: `audit verify` takes them, too."""
    currency: Annotated[str, AfterValidator(_known_currency)] = "EUR"
    """The ISO 4217 code of every amount, whose decimals amounts have. It is fixed for a database
    once that has an invoice."""


class Settings(AuditSettings):
    """The settings of the API and the worker."""

    redis_url: Annotated[str, AfterValidator(_redis_url)] = Field(repr=False)
    """The Redis-compatible queue, as `redis://host:port/0` or `unix:///path/to/socket`."""
    queue_name: str = Field(default="invoicing", min_length=1)
    """The queue's name; deployments that share a Redis server need one each."""
    job_lease: PositiveInt = 30
    """Seconds after which a job whose worker died is taken up by another."""

    smtp_url: Annotated[Url, UrlConstraints(allowed_schemes=["smtp", "smtps"])] | None = Field(
        default=None, repr=False
    )
    """The mail server, as `smtp://user:password@host:587` (STARTTLS where offered) or `smtps://`.
    Without it, mail is written as files to MAIL_DIR."""
    smtp_timeout: PositiveInt = 30
    """Seconds that one exchange with the mail server may take."""
    mail_from: Annotated[str, AfterValidator(_one_mailbox)] = "billing@localhost"
    """The sender of notifications, an address or `Name <address>`."""
    mail_dir: Path = Path("var/mail")
    """Where `.eml` files go when there is no SMTP_URL."""

    document_cache_bytes: PositiveInt = 32 * 1024 * 1024
    """Memory of a process for documents that were sent and may be asked for again, in bytes."""

    public_url: BaseUrl = None
    """Base of the links to this service; by default the request's own scheme and host."""
    platform_url: BaseUrl = None
    """Base of the links to customers and resources; by default the same as PUBLIC_URL."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_split_networks)] = ()
    """Addresses or networks, comma-separated, whose `X-Forwarded-*` headers are believed."""
    wire_uuid_style: Literal["hyphens", "hex"] = "hyphens"
    """How UUIDs are sent: RFC 9562 with hyphens, or 32 hex digits beside a Waldur."""

    locale: Annotated[str, AfterValidator(_known_locale)] = "en"
    """The locale of country names, and of dates and amounts on documents and in mail."""
    issuer_details: Annotated[IssuerDetails, NoDecode, BeforeValidator(_json_object)] = (
        IssuerDetails()
    )
    """A JSON object: name, address, country, country_name, email, postal, phone_number, bank_name,
    bank_account, vat_code, and what else is wanted."""
    payment_interval_days: int = Field(default=30, ge=0)
    """Days from the invoice date to the due date."""
    notify_on_issue: bool = False
    """Whether the customer is notified of each newly issued invoice."""

    proof_dir: Path = Path("var/proofs")
    """Where proofs of payment are kept: one place for all processes."""
    proof_max_bytes: PositiveInt = 10 * 1024 * 1024
    """The largest proof that is taken, in bytes."""

    drain_seconds: float = Field(default=5, ge=0, le=15)
    """Seconds in which a process that was asked to end is not ready, but still takes requests."""
    rate_limit_token: Rate = parse("6000/minute")
    """Requests of one token, as `600/minute` or `10/second`; `off` for no limit."""
    rate_limit_address: Rate = parse("1200/minute")
    """Requests without a good token from one address, or from one IPv6 network of 64 bits."""
    rate_limit_failed_logins: Rate = parse("60/minute")
    """Tokens that are not good from one address, after which it is asked to wait."""
    client_timeout: PositiveInt = 30
    """Seconds that a client may take for the head of a request, for more of a body, or to take more
    of an answer."""
    max_connections: PositiveInt = 1000
    """Connections of clients to a process; on further ones requests are answered with 503."""
    cors_allow_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_origins)] = ()
    """Origins, comma-separated, whose pages may call the API in a browser; `*` for all."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    metrics_host: str = "127.0.0.1"
    """The address at which Prometheus finds metrics."""
    metrics_port: int = Field(default=9464, ge=0, le=65535)
    """The TCP port of the API's metrics, those of all its processes; 0 shows none."""
    worker_metrics_port: int = Field(default=9465, ge=0, le=65535)
    """The TCP port of a worker's metrics; 0 shows none."""

    @model_validator(mode="after")
    def _name_the_issuers_country(self) -> Self:
        issuer = self.issuer_details
        if not issuer.country_name and issuer.country:
            territories = Locale.parse(self.locale).territories
            issuer.country_name = territories.get(issuer.country.upper(), "")
        return self


def error_messages(error: ValidationError) -> list[str]:
    """Name each setting that is missing or wrong, and why, one a line."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in problem["loc"]).upper()
        if problem["type"] == "missing":
            lines.append(f"{name} is not set.")
        else:
            reason = problem["msg"].removeprefix("Value error, ").rstrip(".")
            lines.append(f"{name} is wrong: {reason}.")
    return lines
