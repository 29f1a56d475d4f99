"""The caller of the API: the user of a token, and the address of the client."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Impersonator:
    """The member of staff who sent an impersonated request."""

    uuid: UUID
    username: str


@dataclass(frozen=True, slots=True)
class Caller:
    """The user of a request, with the token and the client's address."""

    user_id: int
    user_uuid: UUID
    username: str
    token: str
    """The name of the token, which is not secret and may be empty.

    In an impersonated request it is the impersonator's token.
    """
    is_staff: bool
    is_support: bool
    address: IPv4Address | IPv6Address | None = None
    """None if the transport has no address, as on a Unix socket."""
    impersonator: Impersonator | None = None
