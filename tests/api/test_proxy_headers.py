"""The origin of a request, with and without trusted proxies."""

from ipaddress import ip_address, ip_network

import pytest

from app.api.middleware.proxy_headers import Origin, find_origin

TRUSTED = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


def origin_of(
    peer: str | None, headers: dict[str, str], server: tuple[str, int | None] = ("here", 8000)
) -> Origin:
    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1) if peer else None,
        "server": server,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    return find_origin(scope, TRUSTED)


@pytest.mark.parametrize(
    ("peer", "sent_headers", "address"),
    [
        ("8.8.8.8", "10.0.0.1", "8.8.8.8"),
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "10.0.0.1", "10.0.0.1"),
        ("192.0.2.1", "1.1.1.1, 10.0.0.1", "10.0.0.1"),
        ("192.0.2.1", "1.1.1.1, 10.0.0.1, 192.0.2.2", "10.0.0.1"),
        ("192.0.2.1", "192.0.2.3,192.0.2.2", "192.0.2.3"),
        ("192.0.2.1", "10.0.0.1:4711", "10.0.0.1"),
        ("192.0.2.1", "[2001:beef::1]:4711", "2001:beef::1"),
        ("192.0.2.1", "::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:192.0.2.1", "10.0.0.1", "10.0.0.1"),
        ("2001:db8::5", "10.0.0.1", "10.0.0.1"),
        ("192.0.2.1", "10.0.0.1, unknown", None),
        ("192.0.2.1", "10.0.0.1, 1.2.3.4.5", None),
        (None, "10.0.0.1", None),
        ("socket", "10.0.0.1", None),
    ],
)
def test_the_address_is_the_rightmost_that_is_not_trusted(
    peer: str | None, sent_headers: str, address: str | None
) -> None:
    origin = origin_of(peer, {"x-forwarded-for": sent_headers})
    assert origin.address == (ip_address(address) if address else None)


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://seen"),
        ({"x-forwarded-proto": "https"}, "https://seen"),
        ({"x-forwarded-proto": "javascript"}, "http://seen"),
        ({"x-forwarded-host": "bills.example:8443"}, "http://bills.example:8443"),
        ({"x-forwarded-host": "[2001:db8::1]:80"}, "http://[2001:db8::1]:80"),
        ({"x-forwarded-host": 'evil">'}, "http://seen"),
        ({"x-forwarded-host": "evil.example, bills.example"}, "http://bills.example"),
        ({"x-forwarded-prefix": "/billing/"}, "http://seen/billing"),
        ({"x-forwarded-prefix": "//evil.example"}, "http://seen"),
        ({"x-forwarded-prefix": "/a/../b?"}, "http://seen"),
        (
            # The outer proxy's word counts, also where the inner one added its own.
            {"x-forwarded-for": "1.1.1.1, 192.0.2.9", "x-forwarded-proto": "https, http"},
            "https://seen",
        ),
        (
            # The client's own header stands before both.
            {"x-forwarded-for": "x, 1.1.1.1, 192.0.2.9", "x-forwarded-host": "evil, out, in"},
            "http://out",
        ),
        ({"x-forwarded-for": "1.1.1.1, 192.0.2.9", "x-forwarded-proto": "https"}, "https://seen"),
    ],
)
def test_the_base_of_links(headers: dict[str, str], base: str) -> None:
    sent_headers = {"host": "seen", **headers}
    assert (origin_of("192.0.2.1", sent_headers)).base == base
    assert (origin_of("8.8.8.8", sent_headers)).base == "http://seen"


def test_without_a_valid_host_the_base_has_the_servers_address() -> None:
    assert (origin_of("8.8.8.8", {})).base == "http://here:8000"
    assert (origin_of("8.8.8.8", {"host": "a b"})).base == "http://here:8000"
    assert (origin_of(None, {}, ("/run/socket", None))).base == "http:///run/socket"
