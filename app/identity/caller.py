"""Who is calling: the user behind the token, and from where."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Impersonator:
    """The user of staff whose token a request has, where it is done as another user."""

    uuid: UUID
    username: str


@dataclass(frozen=True, slots=True)
class Caller:
    """The user as whom a request is done, the token that it has, and where it came from."""

    user_id: int
    user_uuid: UUID
    username: str
    token: str
    """The token's name, which is no secret; it may be empty. It is the impersonator's, if any."""
    is_staff: bool
    is_support: bool
    address: IPv4Address | IPv6Address | None
    """None where the transport has no address, as on a Unix socket."""
    impersonator: Impersonator | None = None

    @property
    def sees_everything(self) -> bool:
        """Whether every customer's records are visible: to staff and support."""
        return self.is_staff or self.is_support
