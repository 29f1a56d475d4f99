"""The URLs of PostgreSQL and Redis, with one host and with several."""

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect

from app.server_urls import (
    Host,
    check_redis_url,
    postgresql_url,
    sentinel_url,
    several_hosts,
    with_host,
    writable_postgresql_url,
)

TWO = (Host("db1", 5432), Host("db2", 5433))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@db1,db2:5433/name",
        "postgresql://u:p@db1:5432,db2:5433/name",
        "postgres://u:p@db1:5432,db2:5433/name?sslmode=require",
        "postgresql://u:p@/name?host=db1,db2&port=5432,5433",
        "postgresql://u:p@/name?host=db1:5432&host=db2:5433",
        "postgresql://u:p@/name?host=db1&host=db2:5433&target_session_attrs=primary",
    ],
)
def test_each_form_of_several_hosts_is_read(url: str) -> None:
    driver_url = postgresql_url(url)
    assert several_hosts(driver_url) == TWO
    assert postgresql_url(driver_url) == driver_url
    [], arguments = dialect().create_connect_args(make_url(driver_url))  # type: ignore[no-untyped-call]
    assert (arguments["host"], arguments["port"]) == (["db1", "db2"], [5432, 5433])
    assert (arguments["user"], arguments["password"]) == ("u", "p")
    assert arguments["database"] == "name"


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("[::1]:1,[fe80::2]", (Host("::1", 1), Host("fe80::2", 5432))),
        ("%2Frun%2Fa,%2Frun%2Fb:1", (Host("/run/a", 5432), Host("/run/b", 1))),
    ],
)
def test_addresses_and_sockets_are_hosts(hosts: str, expected: tuple[Host, ...]) -> None:
    driver_url = postgresql_url(f"postgresql://u@{hosts}/name")
    assert several_hosts(driver_url) == expected
    [], arguments = dialect().create_connect_args(make_url(driver_url))  # type: ignore[no-untyped-call]
    assert arguments["host"] == [host.name for host in expected]


def test_one_port_is_that_of_each_host() -> None:
    driver_url = postgresql_url("postgresql://u@/name?host=db1,db2&port=6432")
    assert several_hosts(driver_url) == (Host("db1", 6432), Host("db2", 6432))


@pytest.mark.parametrize(
    "url", ["postgresql://u@db1:5432/name", "postgresql:///name?host=/run", "postgresql:///name"]
)
def test_one_host_is_not_several(url: str) -> None:
    driver_url = writable_postgresql_url(url)
    assert several_hosts(driver_url) == ()
    assert "target_session_attrs" not in driver_url


def test_of_several_hosts_the_primary_is_used_by_default() -> None:
    driver_url = writable_postgresql_url("postgresql://u@db1,db2/name")
    assert make_url(driver_url).query["target_session_attrs"] == "read-write"
    driver_url = writable_postgresql_url("postgresql://u@db1,db2/name?target_session_attrs=any")
    assert make_url(driver_url).query["target_session_attrs"] == "any"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u@db1:x,db2/name", "each of its hosts must be a name"),
        ("postgresql://u@db1,,db2/name", "each of its hosts must be a name"),
        ("postgresql://u@/name?host=db1,db2&port=1,2,3", "each of its hosts must have"),
        ("postgresql://u@/name?host=db1,db2&port=1,x", "each of its hosts must have"),
        ("postgresql://u@/name?host=db1,&port=1,2", "each of its hosts must have"),
        ("postgresql://u@a,b/name?target_session_attrs=readwrite", "must be one of any, primary"),
    ],
)
def test_wrong_hosts_are_refused(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        postgresql_url(url)


@pytest.mark.parametrize("session", ["standby", "prefer-standby", "read-only"])
def test_sessions_that_accept_no_changes_are_refused(session: str) -> None:
    url = f"postgresql://u@a,b/name?target_session_attrs={session}"
    postgresql_url(url)
    with pytest.raises(ValueError, match=f"is {session}, but the service changes data"):
        writable_postgresql_url(url)


def test_a_url_can_name_one_of_its_hosts() -> None:
    driver_url = writable_postgresql_url("postgresql://u:p@db1,db2:5433/name?sslmode=require")
    one = make_url(with_host(driver_url, TWO[1]))
    assert one.query == {"host": "db2", "port": "5433", "ssl": "require"}
    assert (one.username, one.password, one.database) == ("u", "p", "name")


def test_sentinels_are_read() -> None:
    url = "rediss+sentinel://u:p%40@s1:1,[::1],s3/main/2?sentinel_username=a&sentinel_password=b"
    sentinels = sentinel_url(url)
    assert sentinels is not None
    assert sentinels.sentinels == (Host("s1", 1), Host("::1", 26379), Host("s3", 26379))
    assert (sentinels.service, sentinels.database, sentinels.tls) == ("main", 2, True)
    assert (sentinels.username, sentinels.password) == ("u", "p@")
    assert (sentinels.sentinel_username, sentinels.sentinel_password) == ("a", "b")
    plain = sentinel_url("redis+sentinel://s1/main")
    assert plain is not None
    assert (plain.username, plain.password, plain.database, plain.tls) == (None, None, 0, False)


@pytest.mark.parametrize(
    "url",
    [
        "http://host",
        "sentinel://s1/main",
        "redis+sentinel://s1",
        "redis+sentinel:///main",
        "redis+sentinel://s1/main/x",
        "redis+sentinel://s1:port/main",
        "redis+sentinel://s1/main?password=p",
    ],
)
def test_wrong_redis_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|not known"):
        check_redis_url(url)
