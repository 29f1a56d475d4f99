"""Users: create them, and find them by name or UUID."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from app import clock
from app.billing.enums import CustomerRoleName
from app.customers.models import Customer
from app.domain_errors import NotFound, RuleViolation
from app.identity.models import CustomerRole, User


class UsernameTaken(RuleViolation):
    """Another user has this username."""


class CustomerNotFound(NotFound):
    """A customer of the new user does not exist."""


@dataclass(frozen=True)
class NewUser:
    """The attributes of a new user."""

    username: str
    full_name: str = ""
    email: str = ""
    is_staff: bool = False
    is_support: bool = False
    owner_of: tuple[UUID, ...] = ()
    """Customers of which the user is an owner."""


async def find(connection: AsyncConnection, username: str) -> Row[int, UUID] | None:
    """Return the primary key and the UUID of a user."""
    statement = select(User.id, User.uuid).where(User.username == username)
    return (await connection.execute(statement)).one_or_none()


async def find_by_uuid(
    connection: AsyncConnection, uuid: UUID
) -> Row[int, UUID, str, bool, bool, bool] | None:
    """Return a user, active or not."""
    statement = select(
        User.id, User.uuid, User.username, User.is_staff, User.is_support, User.is_active
    ).where(User.uuid == uuid)
    return (await connection.execute(statement)).one_or_none()


async def create(connection: AsyncConnection, user: NewUser) -> UUID:
    """Insert a user with its roles and return its UUID.

    Raises `UsernameTaken` and `CustomerNotFound`.
    """
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
    statement = postgresql_insert(User).values(row).on_conflict_do_nothing().returning(User.id)
    user_id = (await connection.execute(statement)).scalar_one_or_none()
    if user_id is None:
        raise UsernameTaken(f"There is a user {user.username} already.")
    for customer_uuid in dict.fromkeys(user.owner_of):
        customer = select(Customer.id).where(Customer.uuid == customer_uuid)
        customer_id = (await connection.execute(customer)).scalar_one_or_none()
        if customer_id is None:
            raise CustomerNotFound(f"There is no customer {customer_uuid}.")
        await connection.execute(
            insert(CustomerRole).values(
                user_id=user_id,
                customer_id=customer_id,
                role=CustomerRoleName.OWNER,
                created_at=now,
            )
        )
    return uuid
