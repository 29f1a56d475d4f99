"""The URLs of PostgreSQL and Redis: which hosts they name, and how the drivers take them."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from arq.connections import RedisSettings
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_OPTIONS: Final = frozenset(
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
"""Options of the driver that are text, so that the query of a database URL may set them."""
_SESSIONS: Final = ("any", "primary", "standby", "prefer-standby", "read-write", "read-only")
"""The values of `target_session_attrs`, as libpq names them."""
_WRITING_SESSIONS: Final = ("any", "primary", "read-write")
_SEVERAL_HOSTS: Final = re.compile(
    r"(?P<before>[\w+]+://(?:[^:/]*(?::[^@]*)?@)?)(?P<hosts>[^@/?]*,[^@/?]*)(?P<after>.*)",
    re.DOTALL,
)
"""A URL with hosts between commas before its path, which SQLAlchemy does not read."""
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_POSTGRESQL_PORT: Final = 5432
_SENTINEL_PORT: Final = 26379
_SENTINEL_SCHEMES: Final = ("redis+sentinel", "rediss+sentinel")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True)
class Host:
    """The address of a server; the name of a PostgreSQL may be the directory of its socket."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """The sentinels that know the current master of a Redis, and how to connect to both."""

    sentinels: tuple[Host, ...]
    service: str
    """The name under which the sentinels monitor the master."""
    database: int
    username: str | None
    password: str | None
    sentinel_username: str | None
    sentinel_password: str | None
    tls: bool
    """Whether connections to the sentinels and to the master are encrypted."""


def postgresql_url(url: str) -> str:
    """Return a database URL for the driver; raises ValueError if it is invalid.

    Several hosts may be named in each form that libpq or SQLAlchemy takes; the result has them in
    that form which both take, `?host=a,b&port=5432,5433`.
    """
    listed = _SEVERAL_HOSTS.fullmatch(url)
    try:
        parsed = make_url(listed["before"] + listed["after"] if listed else url)
    except (ArgumentError, ValueError) as error:  # its message may contain a part of the password
        raise ValueError("not a database URL") from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError("the scheme must be postgresql://")
    # libpq's name, which hosters hand out, for what the driver calls otherwise.
    if "sslmode" in parsed.query:
        mode = parsed.query["sslmode"]
        parsed = parsed.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    unknown = sorted(parsed.query.keys() - _OPTIONS)
    if unknown:
        raise ValueError(f"its option {unknown[0]} is not known")
    session = parsed.query.get("target_session_attrs", _SESSIONS[0])
    if session not in _SESSIONS:
        raise ValueError(f"its target_session_attrs must be one of {', '.join(_SESSIONS)}")
    if listed:
        hosts = tuple(_parse_host(each, _POSTGRESQL_PORT) for each in listed["hosts"].split(","))
    else:
        hosts = _hosts_of_query(parsed)
    if len(hosts) > 1:
        parsed = parsed.difference_update_query(["host", "port"]).update_query_dict(
            {
                "host": ",".join(host.name for host in hosts),
                "port": ",".join(str(host.port) for host in hosts),
            }
        )
    return parsed.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def writable_postgresql_url(url: str) -> str:
    """Return a database URL as `postgresql_url` does; of several hosts it asks for the primary.

    Raises ValueError, too, if the URL asks for sessions that accept no changes.
    """
    parsed = make_url(postgresql_url(url))
    session = parsed.query.get("target_session_attrs")
    if session not in (None, *_WRITING_SESSIONS):
        raise ValueError(
            f"its target_session_attrs is {session}, but the service changes data: it must be"
            " read-write, primary or any"
        )
    if session is None and len(_hosts_of_query(parsed)) > 1:
        parsed = parsed.update_query_dict({"target_session_attrs": "read-write"})
    return parsed.render_as_string(hide_password=False)


def several_hosts(url: str) -> tuple[Host, ...]:
    """Return the hosts of a URL of `postgresql_url` that names several; else nothing."""
    hosts = _hosts_of_query(make_url(url))
    return hosts if len(hosts) > 1 else ()


def with_host(url: str, host: Host) -> str:
    """Return a URL of `postgresql_url` that names this host alone, whatever its role."""
    return (
        make_url(url)
        .difference_update_query(["target_session_attrs"])
        .update_query_dict({"host": host.name, "port": str(host.port)})
        .render_as_string(hide_password=False)
    )


def check_redis_url(url: str) -> str:
    """Return the URL of a Redis, or of its sentinels; raises ValueError if it is invalid."""
    if sentinel_url(url) is None:
        try:
            RedisSettings.from_dsn(url)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(
                "the scheme must be redis://, rediss://, unix://, redis+sentinel:// or"
                " rediss+sentinel://"
            ) from error
    return url


def sentinel_url(url: str) -> SentinelUrl | None:
    """Parse `redis+sentinel://user:password@host:port,host:port/service/database`.

    None if the URL has another scheme. Raises ValueError if it is invalid.
    """
    scheme, _, _ = url.partition("://")
    if scheme not in _SENTINEL_SCHEMES:
        return None
    parsed = urlsplit(url)
    login, _, hosts = parsed.netloc.rpartition("@")
    username, _, password = (unquote(part) for part in login.partition(":"))
    service, _, database = parsed.path.strip("/").partition("/")
    options = dict(parse_qsl(parsed.query))
    unknown = sorted(options.keys() - _SENTINEL_OPTIONS)
    if unknown:
        raise ValueError(f"its option {unknown[0]} is not known")
    if not service or not (database or "0").isdecimal():
        raise ValueError("after the sentinels it must have /service or /service/database")
    return SentinelUrl(
        sentinels=tuple(_parse_host(each, _SENTINEL_PORT) for each in hosts.split(",")),
        service=unquote(service),
        database=int(database or "0"),
        username=username or None,
        password=password or None,
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=scheme == _SENTINEL_SCHEMES[1],
    )


def _hosts_of_query(url: URL) -> tuple[Host, ...]:
    """Return the hosts that the query names: `host=a:1&host=b:2`, or `host=a,b&port=1,2`."""
    named, ports = url.query.get("host", ()), url.query.get("port", ())
    if isinstance(named, tuple):
        return tuple(_parse_host(each, _POSTGRESQL_PORT) for each in named)
    names = named.split(",")
    numbers = ports.split(",") if isinstance(ports, str) else list(ports)
    if len(numbers) < 2:  # one port is that of each host
        numbers = (numbers or [str(_POSTGRESQL_PORT)]) * len(names)
    if len(names) > 1 and not (
        len(numbers) == len(names) and all(names) and all(map(str.isdecimal, numbers))
    ):
        raise ValueError("each of its hosts must have a name and a port")
    return tuple(map(Host, names, map(int, numbers))) if len(names) > 1 else ()


def _parse_host(text: str, default_port: int) -> Host:
    matched = _HOST.fullmatch(text)
    if matched is None:
        raise ValueError("each of its hosts must be a name or an address, with or without a port")
    return Host(matched["ipv6"] or unquote(matched["name"]), int(matched["port"] or default_port))
