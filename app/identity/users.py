"""Users and their tokens, for those who run the service."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import Row, RowMapping, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_leave
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import CustomerRoleName
from app.customers.models import Customer
from app.identity.models import CustomerRole, Token, User


class UserExists(Exception):
    """The username is taken."""


class NoSuchCustomer(Exception):
    """A customer that a user was to own is not there."""


@dataclass(frozen=True)
class NewUser:
    """What a new user is."""

    username: str
    full_name: str = ""
    email: str = ""
    is_staff: bool = False
    is_support: bool = False
    owner_of: tuple[UUID, ...] = ()
    """Customers that the user is an owner of."""


async def find(connection: AsyncConnection, username: str) -> Row[int, UUID] | None:
    """Return the key and the UUID of a user."""
    statement = select(User.id, User.uuid).where(User.username == username)
    return (await connection.execute(statement)).one_or_none()


async def create(connection: AsyncConnection, user: NewUser) -> UUID:
    """Make a user with its roles and return its UUID; raises `UserExists`, `NoSuchCustomer`."""
    now, uuid = clock.now(), uuid4()
    row = {
        "uuid": uuid,
        "username": user.username,
        "full_name": user.full_name,
        "email": user.email,
        "is_staff": user.is_staff,
        "is_support": user.is_support,
        "created_at": now,
    }
    statement = insert_or_leave(User).values(row).on_conflict_do_nothing().returning(User.id)
    key = (await connection.execute(statement)).scalar_one_or_none()
    if key is None:
        raise UserExists(f"There is a user {user.username} already.")
    for owned in dict.fromkeys(user.owner_of):
        customer = select(Customer.id).where(Customer.uuid == owned)
        customer_id = (await connection.execute(customer)).scalar_one_or_none()
        if customer_id is None:
            raise NoSuchCustomer(f"There is no customer {owned}.")
        await connection.execute(
            insert(CustomerRole).values(
                user_id=key, customer_id=customer_id, role=CustomerRoleName.OWNER, created_at=now
            )
        )
    return uuid


async def tokens(connection: AsyncConnection, username: str | None = None) -> Sequence[RowMapping]:
    """Return tokens with their users, newest first; of one user or of all."""
    statement = (
        select(
            Token.uuid,
            User.username,
            User.is_active,
            Token.name,
            Token.created_at,
            Token.expires_at,
            Token.revoked_at,
        )
        .join(User, User.id == Token.user_id)
        .order_by(Token.created_at.desc(), Token.id.desc())
    )
    if username is not None:
        statement = statement.where(User.username == username)
    return (await connection.execute(statement)).mappings().all()
