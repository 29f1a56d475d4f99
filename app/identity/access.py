"""Access control: the one place that restricts a select to the records a caller may see."""

from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, DateTime, bindparam, cast, exists, or_, select, true
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import InstrumentedAttribute

from app.identity.caller import Caller
from app.identity.models import AccessSubnet, CustomerRole


class Scope(Enum):
    """Which customers a caller may see. Equal scopes have equal conditions."""

    EVERYTHING = auto()
    """All customers: for staff and support."""
    OWN_CUSTOMERS = auto()
    """Customers where the caller has a role, if the client's address is in their subnets."""
    OWN_CUSTOMERS_WITHOUT_ADDRESS = auto()
    """The same for a client whose address is unknown."""


def visibility_of(caller: Caller, now: datetime) -> tuple[Scope, dict[str, Any]]:
    """Return the scope of a caller, and the parameters of a statement with its condition."""
    if caller.is_staff or caller.is_support:
        return Scope.EVERYTHING, {}
    values: dict[str, Any] = {"viewer": caller.user_id, "viewed_at": now}
    if caller.address is None:
        return Scope.OWN_CUSTOMERS_WITHOUT_ADDRESS, values
    return Scope.OWN_CUSTOMERS, values | {"viewed_from": str(caller.address)}


def visible_customers(customer_id: InstrumentedAttribute[int], scope: Scope) -> ColumnElement[bool]:
    """Return the condition that the customer `customer_id` is within the scope.

    Staff and support see every customer. Other users see the customers where they have a role that
    is active and has not expired. If the customer has access subnets, the client's address must be
    in one of them. A statement with this condition needs the parameters of
    `visibility_of`.
    """
    if scope is Scope.EVERYTHING:
        return true()
    expires = CustomerRole.expires_at
    own_customers = select(CustomerRole.customer_id).where(
        CustomerRole.user_id == bindparam("viewer"),
        CustomerRole.is_active,
        or_(expires.is_(None), expires > bindparam("viewed_at", type_=DateTime(timezone=True))),
        _is_accessible(scope),
    )
    return customer_id.in_(own_customers)


def _is_accessible(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that the customer's access subnets, if any, contain the address."""
    of_customer = AccessSubnet.customer_id == CustomerRole.customer_id
    contains_address: ColumnElement[bool] = AccessSubnet.network.is_(None)
    if scope is Scope.OWN_CUSTOMERS:
        address = cast(bindparam("viewed_from"), INET)
        contains_address = or_(contains_address, AccessSubnet.network.op(">>=")(address))
    return or_(
        ~exists().where(of_customer).correlate(CustomerRole),
        exists().where(of_customer, contains_address).correlate(CustomerRole),
    )
