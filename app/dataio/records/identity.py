"""Records of users, their tokens and their roles."""

from typing import Literal
from uuid import UUID

from app.billing.enums import CustomerRoleName, ProjectRoleName
from app.dataio.field_types import Network, Sha256, Text, Time
from app.dataio.records.record import Record


class UserRecord(Record):
    """A user of the API, who may also receive notifications."""

    kind: Literal["user"] = "user"
    username: Text
    full_name: Text = ""
    email: Text = ""
    is_staff: bool = False
    is_support: bool = False
    is_active: bool = True
    created_at: Time


class TokenRecord(Record):
    """An API token: the digest of its key, never the key."""

    kind: Literal["token"] = "token"
    user: UUID
    digest: Sha256
    """SHA-256 of the key, in lower case hexadecimal."""
    name: Text = ""
    created_at: Time
    expires_at: Time | None = None
    revoked_at: Time | None = None


class CustomerRoleRecord(Record):
    """A role of a user at a customer."""

    kind: Literal["customer_role"] = "customer_role"
    user: UUID
    customer: UUID
    role: CustomerRoleName
    is_active: bool = True
    created_at: Time
    expires_at: Time | None = None


class AccessSubnetRecord(Record):
    """A network from which the users of a customer may access its data."""

    kind: Literal["access_subnet"] = "access_subnet"
    customer: UUID
    network: Network | None = None
    """IPv4 or IPv6, like `192.0.2.0/24`. Null: any address."""
    description: Text = ""


class ProjectRoleRecord(Record):
    """A role of a user in a project."""

    kind: Literal["project_role"] = "project_role"
    user: UUID
    project: UUID
    role: ProjectRoleName
    is_active: bool = True
    created_at: Time
    expires_at: Time | None = None
