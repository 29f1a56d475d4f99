"""Who may see what: the one place that narrows a select to what a caller may see."""

from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import ColumnElement, DateTime, bindparam, cast, exists, or_, select, true
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import InstrumentedAttribute

from app.identity.caller import Caller
from app.identity.models import AccessSubnet, CustomerRole


class Scope(Enum):
    """How a caller's view is bounded; equal scopes make equal conditions."""

    EVERYTHING = auto()
    """Staff and support see all."""
    HELD = auto()
    """Customers where the caller holds a role, from an address that is known."""
    HELD_FROM_NOWHERE = auto()
    """The same, from an address that is not known."""


def scope_of(caller: Caller) -> Scope:
    """Return how the caller's view is bounded."""
    if caller.sees_everything:
        return Scope.EVERYTHING
    return Scope.HELD if caller.address is not None else Scope.HELD_FROM_NOWHERE


def viewing(caller: Caller, now: datetime) -> dict[str, Any]:
    """Return the parameters of a statement with the condition of the caller's scope."""
    if caller.sees_everything:
        return {}
    values: dict[str, Any] = {"viewer": caller.user_id, "viewed_at": now}
    if caller.address is not None:
        values["viewed_from"] = str(caller.address)
    return values


def visible_customers(customer_id: InstrumentedAttribute[int], scope: Scope) -> ColumnElement[bool]:
    """Return the condition that `customer_id` is of a customer within the scope.

    Staff and support see all. Others see those where they hold a role that is active and has not
    expired, and only from within the customer's access subnets where it has any. A statement with
    it is executed with the parameters of `viewing`.
    """
    if scope is Scope.EVERYTHING:
        return true()
    expires = CustomerRole.expires_at
    held = select(CustomerRole.customer_id).where(
        CustomerRole.user_id == bindparam("viewer"),
        CustomerRole.is_active,
        or_(expires.is_(None), expires > bindparam("viewed_at", type_=DateTime(timezone=True))),
        _reached(scope),
    )
    return customer_id.in_(held)


def _reached(scope: Scope) -> ColumnElement[bool]:
    of_customer = AccessSubnet.customer_id == CustomerRole.customer_id
    fits: ColumnElement[bool] = AccessSubnet.network.is_(None)
    if scope is Scope.HELD:
        address = cast(bindparam("viewed_from"), INET)
        fits = or_(fits, AccessSubnet.network.op(">>=")(address))
    return or_(
        ~exists().where(of_customer).correlate(CustomerRole),
        exists().where(of_customer, fits).correlate(CustomerRole),
    )
