"""Where a request came from, as far as trusted proxies tell: address, scheme, host, prefix."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.settings import Network

Address = IPv4Address | IPv6Address

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?")
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+))(?::[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Origin:
    """How the client reached the service."""

    address: Address | None
    """The client's; None where it is not known, as on a Unix socket."""
    base: str
    """Scheme, host and a gateway's path prefix, without a slash at the end."""


class ForwardedMiddleware:
    """Finds the origin of each request and keeps it in the scope.

    `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are read only where the peer is trusted.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI has it."""
        if scope["type"] == "http":
            scope["app.origin"] = self._origin(scope)
        await self._app(scope, receive, send)

    def _origin(self, scope: Scope) -> Origin:
        headers = Headers(scope=scope)
        peer = _peer(scope["client"][0]) if scope.get("client") else None
        scheme, host, prefix = scope["scheme"], headers.get("host", ""), ""
        if not self._is_trusted(peer):
            return Origin(peer, _base(scope, scheme, host, prefix))
        address, proxies = self._walk(peer, _listed(headers, "x-forwarded-for"))

        def told(name: str) -> str:
            # Each proxy adds a value at the end; the first trusted one's is that many from there.
            values = _listed(headers, name)
            return values[max(0, len(values) - proxies)] if values else ""

        if (forwarded := told("x-forwarded-proto").lower()) in ("http", "https"):
            scheme = forwarded
        if _HOST.fullmatch(told("x-forwarded-host")):
            host = told("x-forwarded-host")
        if _PREFIX.fullmatch(told("x-forwarded-prefix")):
            prefix = told("x-forwarded-prefix").rstrip("/")
        return Origin(address, _base(scope, scheme, host, prefix))

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._trusted)

    def _walk(self, peer: Address | None, chain: list[str]) -> tuple[Address | None, int]:
        """Return the rightmost address that is not trusted, and how many proxies stand before."""
        address, proxies = peer, 0
        for hop in reversed(chain):
            if not self._is_trusted(address):
                break
            address, proxies = _parse(hop), proxies + 1
        return address, max(proxies, 1)


def _listed(headers: Headers, name: str) -> list[str]:
    joined = ",".join(headers.getlist(name))
    return [part.strip() for part in joined.split(",") if part.strip()]


def _parse(text: str) -> Address | None:
    if matched := _WITH_PORT.fullmatch(text):
        text = matched["v6"] or matched["v4"]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


# Of peers alone: what a header says may be of any length.
_peer = lru_cache(maxsize=4096)(_parse)


def _base(scope: Scope, scheme: str, host: str, prefix: str) -> str:
    if not _HOST.fullmatch(host):
        name, port = scope.get("server") or ("localhost", None)
        host = f"{name}:{port}" if port else str(name)
    return f"{scheme}://{host}{prefix}"


def origin(request: Request) -> Origin:
    """Return where a request came from."""
    found: Origin = request.scope["app.origin"]
    return found


def client_address(request: Request) -> Address | None:
    """Return the client's address, None where it is not known."""
    return origin(request).address
