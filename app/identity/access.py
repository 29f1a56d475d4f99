"""Who may see what: the one place that narrows a select to what a caller may see."""

from datetime import datetime

from sqlalchemy import ColumnElement, cast, exists, or_, select, true
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import InstrumentedAttribute

from app.identity.caller import Caller
from app.identity.tables import AccessSubnet, CustomerRole


def visible_customers(
    customer_id: InstrumentedAttribute[int], caller: Caller, now: datetime
) -> ColumnElement[bool]:
    """Return the condition that `customer_id` is of a customer whom the caller may see.

    Staff and support see all. Others see those where they hold a role that is active and has not
    expired, and only from within the customer's access subnets where it has any.
    """
    if caller.sees_everything:
        return true()
    held = select(CustomerRole.customer_id).where(
        CustomerRole.user_id == caller.user_id,
        CustomerRole.is_active,
        or_(CustomerRole.expires_at.is_(None), CustomerRole.expires_at > now),
        _reached_from(caller),
    )
    return customer_id.in_(held)


def _reached_from(caller: Caller) -> ColumnElement[bool]:
    of_customer = AccessSubnet.customer_id == CustomerRole.customer_id
    fits: ColumnElement[bool] = AccessSubnet.network.is_(None)
    if caller.address is not None:
        address = cast(str(caller.address), INET)
        fits = or_(fits, AccessSubnet.network.op(">>=")(address))
    return or_(
        ~exists().where(of_customer).correlate(CustomerRole),
        exists().where(of_customer, fits).correlate(CustomerRole),
    )
