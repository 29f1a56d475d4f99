"""The tables of users, their tokens and their roles at customers and in projects."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import CIDR
from sqlalchemy.orm import Mapped, mapped_column

from app.billing.enums import CustomerRoleName, ProjectRoleName
from app.database.base import Base, BlankText, PrimaryKey, PublicId, enum_check


class User(Base):
    """A user of the API, or a recipient of notifications."""

    __tablename__ = "users"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    username: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[BlankText]
    email: Mapped[BlankText]
    is_staff: Mapped[bool] = mapped_column(default=False)
    is_support: Mapped[bool] = mapped_column(default=False)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Token(Base):
    """A key to the API. Only its SHA-256 digest is stored."""

    __tablename__ = "tokens"
    __table_args__ = (CheckConstraint("length(digest) = 64", name="digest_is_sha256"),)

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(unique=True)
    name: Mapped[BlankText]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class CustomerRole(Base):
    """A user's role at a customer. It counts while it is active and has not expired."""

    __tablename__ = "customer_roles"
    __table_args__ = (
        enum_check("role", CustomerRoleName),
        Index("ix_customer_roles_user_id_customer_id", "user_id", "customer_id"),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customers.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class ProjectRole(Base):
    """A user's role in a project. It counts while it is active and has not expired."""

    __tablename__ = "project_roles"
    __table_args__ = (
        enum_check("role", ProjectRoleName),
        Index("ix_project_roles_user_id_project_id", "user_id", "project_id"),
    )

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[int] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), index=True
    )
    role: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class AccessSubnet(Base):
    """A network from which users may see a customer. If `network` is null, any address may.

    A customer without access subnets is visible from any address.
    """

    __tablename__ = "access_subnets"

    id: Mapped[PrimaryKey]
    uuid: Mapped[PublicId]
    customer_id: Mapped[int] = mapped_column(
        ForeignKey("customers.id", ondelete="CASCADE"), index=True
    )
    network: Mapped[str | None] = mapped_column(CIDR)
    description: Mapped[BlankText]
