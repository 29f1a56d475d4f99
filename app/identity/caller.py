"""Who is calling: the user behind the token, and from where."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user, the token that names them, and where the request came from."""

    user_id: int
    user_uuid: UUID
    username: str
    token: str
    """The token's name, which is no secret; it may be empty."""
    is_staff: bool
    is_support: bool
    address: IPv4Address | IPv6Address | None
    """None where the transport has no address, as on a Unix socket."""

    @property
    def sees_everything(self) -> bool:
        """Whether every customer's records are visible: to staff and support."""
        return self.is_staff or self.is_support
