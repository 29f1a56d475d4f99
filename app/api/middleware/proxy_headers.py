"""The origin of a request: the client's address, and the scheme, host and prefix that it used.

`X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are read only if the peer is a trusted proxy.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import Scope

from app.settings import Network

Address = IPv4Address | IPv6Address

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?")
_ADDRESS_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Origin:
    """How the client reached the service."""

    address: Address | None
    """The client's; None if it is unknown, as on a Unix socket."""
    base: str
    """Scheme, host and a gateway's path prefix, without a slash at the end."""


def find_origin(scope: Scope, trusted: Sequence[Network]) -> Origin:
    """Return the origin of a request."""
    headers = Headers(scope=scope)
    address = _parse_peer(scope["client"][0]) if scope.get("client") else None
    scheme, host, prefix = scope["scheme"], headers.get("host", ""), ""
    if trusted and _is_trusted(address, trusted):
        address, proxies = _walk(address, _values(headers, "x-forwarded-for"), trusted)

        def forwarded(name: str) -> str:
            # Each proxy appends a value: the first trusted proxy's is `proxies` from the end.
            values = _values(headers, name)
            return values[max(0, len(values) - proxies)] if values else ""

        if (forwarded_scheme := forwarded("x-forwarded-proto").lower()) in ("http", "https"):
            scheme = forwarded_scheme
        if _HOST.fullmatch(forwarded("x-forwarded-host")):
            host = forwarded("x-forwarded-host")
        if _PREFIX.fullmatch(forwarded("x-forwarded-prefix")):
            prefix = forwarded("x-forwarded-prefix").rstrip("/")
    if not _HOST.fullmatch(host):
        name, port = scope.get("server") or ("localhost", None)
        host = f"{name}:{port}" if port else str(name)
    return Origin(address, f"{scheme}://{host}{prefix}")


def origin(request: Request) -> Origin:
    """Return the origin of a request."""
    found: Origin = request.scope["app.origin"]
    return found


def _is_trusted(address: Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _walk(
    peer: Address | None, chain: list[str], trusted: Sequence[Network]
) -> tuple[Address | None, int]:
    """Return the rightmost address that is not trusted, and the number of proxies after it."""
    address, proxies = peer, 0
    for hop in reversed(chain):
        if not _is_trusted(address, trusted):
            break
        address, proxies = _parse(hop), proxies + 1
    return address, max(proxies, 1)


def _values(headers: Headers, name: str) -> list[str]:
    joined = ",".join(headers.getlist(name))
    return [part.strip() for part in joined.split(",") if part.strip()]


def _parse(text: str) -> Address | None:
    if matched := _ADDRESS_WITH_PORT.fullmatch(text):
        text = matched["v6"] or matched["v4"]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


# Only peers are cached: the addresses in a header are the client's choice.
_parse_peer = lru_cache(maxsize=4096)(_parse)
