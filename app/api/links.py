"""Absolute links, ending in a slash."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from app.api.dependencies import CurrentSettings
from app.api.middleware.proxy_headers import origin
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Links:
    """The bases of the links of one answer, and how UUIDs are written in them."""

    base: str
    """Of what this service serves."""
    platform: str
    """Of customers and resources, which may be served elsewhere."""
    hex_uuids: bool = False
    """Whether UUIDs are sent as 32 hex digits instead of with hyphens."""

    def here(self, collection: str, uuid: UUID) -> str:
        """Return the link to a record of this service."""
        return f"{self.base}/api/{collection}/{self.uuid(uuid)}/"

    def on_platform(self, collection: str, uuid: UUID) -> str:
        """Return the link to a record that the platform may serve."""
        return f"{self.platform}/api/{collection}/{self.uuid(uuid)}/"

    def uuid(self, value: UUID) -> str:
        """Return a UUID as it is sent."""
        return value.hex if self.hex_uuids else str(value)


async def _links(request: Request, settings: CurrentSettings) -> Links:
    return links_for(settings, origin(request).base)


def links_for(settings: Settings, request_base: str = "") -> Links:
    """Return the links of an answer to a request that came by `request_base`."""
    base = str(settings.public_url or request_base)
    return Links(base, str(settings.platform_url or base), settings.wire_uuid_style == "hex")


RequestLinks = Annotated[Links, Depends(_links)]
