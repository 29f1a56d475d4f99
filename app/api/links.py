"""Absolute links to records, with a trailing slash."""

from dataclasses import dataclass
from uuid import UUID

from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Links:
    """The base URLs of the links in one response, and the style of UUIDs."""

    base: str
    """Of this service."""
    platform: str
    """Of customers and resources, which another service may serve."""
    hex_uuids: bool = False
    """Whether UUIDs are sent as 32 hex digits instead of with hyphens."""

    def record(self, collection: str, uuid: UUID, *, platform: bool = False) -> str:
        """Return the link to a record of this service, or of the platform."""
        base = self.platform if platform else self.base
        return f"{base}/api/{collection}/{self.uuid(uuid)}/"

    def uuid(self, value: UUID) -> str:
        """Return a UUID in the style of the response."""
        return value.hex if self.hex_uuids else str(value)


def build_links(settings: Settings, request_base: str = "") -> Links:
    """Return the links of a response; `request_base` is the base URL that the client used."""
    base = str(settings.public_url or request_base)
    return Links(base, str(settings.platform_url or base), settings.wire_uuid_style == "hex")
