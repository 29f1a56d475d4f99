"""Access control: the one place that restricts a select to the records a caller may see."""

from collections.abc import Collection
from datetime import datetime
from enum import Enum, auto
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ColumnExpressionArgument,
    DateTime,
    Select,
    and_,
    any_,
    bindparam,
    cast,
    exists,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import InstrumentedAttribute

from app import clock
from app.billing.enums import CustomerRoleName
from app.customers.models import Customer, Project
from app.identity.caller import Caller
from app.identity.models import AccessSubnet, CustomerRole, ProjectRole

Key = InstrumentedAttribute[int] | InstrumentedAttribute[int | None]
"""A column with the key of a customer or a project."""


class Scope(Enum):
    """Which records a caller may see. Equal scopes have equal conditions."""

    EVERYTHING = auto()
    """All records: for staff and support."""
    OWN = auto()
    """Those of customers and projects where the caller has a role, if the client's address is in
    the customer's subnets."""
    OWN_WITHOUT_ADDRESS = auto()
    """The same for a client whose address is unknown."""


def visibility_of(caller: Caller, now: datetime | None = None) -> tuple[Scope, dict[str, Any]]:
    """Return the scope of a caller, and the parameters of a statement with its condition.

    `now` decides which roles have expired; it is the current time by default.
    """
    if caller.is_staff or caller.is_support:
        return Scope.EVERYTHING, {}
    values: dict[str, Any] = {"viewer": caller.user_id, "viewed_at": now or clock.now()}
    if caller.address is None:
        return Scope.OWN_WITHOUT_ADDRESS, values
    return Scope.OWN, values | {"viewed_from": str(caller.address)}


def viewer_parameters(caller: Caller, now: datetime) -> dict[str, Any]:
    """Return the parameters of a statement with `customers_of_viewer`."""
    return {"viewer": caller.user_id, "viewed_at": now}


def visible_customers(
    customer_id: Key, scope: Scope, roles: Collection[CustomerRoleName] = ()
) -> ColumnElement[bool]:
    """Return the condition that the customer `customer_id` is within the scope.

    Staff and support see every customer. Other users see the customers where they have a role that
    is active and has not expired, one of `roles` if any are given. If the customer has access
    subnets, the client's address must be in one of them. A statement with this condition needs the
    parameters of `visibility_of`.
    """
    if scope is Scope.EVERYTHING:
        return true()
    own_customers = select(CustomerRole.customer_id).where(
        *_is_held(CustomerRole), _is_accessible(CustomerRole.customer_id, scope)
    )
    if roles:
        own_customers = own_customers.where(CustomerRole.role.in_(sorted(roles)))
    return customer_id.in_(own_customers)


def visible_projects(
    project_id: Key, scope: Scope, *, with_billing: bool = False
) -> ColumnElement[bool]:
    """Return the condition that the project `project_id` is within the scope by a role in it.

    Staff and support see every project. Other users see the projects where they have a role that
    is active and has not expired; `with_billing` leaves out those of customers that do not display
    their billing in projects. The access subnets of the project's customer count as in
    `visible_customers`. A role at the customer is another condition, which this one excludes.
    """
    if scope is Scope.EVERYTHING:
        return true()
    own_projects = (
        select(ProjectRole.project_id)
        .join(Project, Project.id == ProjectRole.project_id)
        .where(*_is_held(ProjectRole), _is_accessible(Project.customer_id, scope))
    )
    if with_billing:
        own_projects = own_projects.join(
            Customer,
            and_(Customer.id == Project.customer_id, Customer.display_billing_info_in_projects),
        )
    # An array, so that an index of the column can be combined with that of another condition.
    return project_id == any_(func.array(own_projects.scalar_subquery()))


def visible_customers_or_projects(
    customer_id: Key, project_id: Key, scope: Scope, *, with_billing: bool = False
) -> ColumnElement[bool]:
    """Return the condition that the record's customer or its project is within the scope."""
    return or_(
        visible_customers(customer_id, scope),
        visible_projects(project_id, scope, with_billing=with_billing),
    )


def customers_of_viewer(roles: ColumnElement[bool]) -> Select[int]:
    """Return the select of the customers where the caller holds a role now.

    `roles` is a condition of the role. A global role counts for nothing here, and neither do access
    subnets: the condition narrows a select that is restricted to a scope.
    """
    return select(CustomerRole.customer_id).where(*_is_held(CustomerRole), roles)


def _is_held(
    role: type[CustomerRole] | type[ProjectRole],
) -> tuple[ColumnExpressionArgument[bool], ...]:
    """Return the conditions that the caller has a role now."""
    expires = role.expires_at
    return (
        role.user_id == bindparam("viewer"),
        role.is_active,
        or_(expires.is_(None), expires > bindparam("viewed_at", type_=DateTime(timezone=True))),
    )


def _is_accessible(customer_id: InstrumentedAttribute[int], scope: Scope) -> ColumnElement[bool]:
    """Return the condition that the customer's access subnets, if any, contain the address."""
    of_customer = AccessSubnet.customer_id == customer_id
    contains_address: ColumnElement[bool] = AccessSubnet.network.is_(None)
    if scope is Scope.OWN:
        address = cast(bindparam("viewed_from"), INET)
        contains_address = or_(contains_address, AccessSubnet.network.op(">>=")(address))
    table = customer_id.class_
    return or_(
        ~exists().where(of_customer).correlate(table),
        exists().where(of_customer, contains_address).correlate(table),
    )
