"""Maps rows of Waldur to records.

The functions raise ValueError, with the reason, for a row that cannot be mapped completely.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import cache, partial
from hashlib import sha256
from operator import itemgetter
from typing import Any, TypeVar
from uuid import UUID, uuid5

from app.billing.enums import CustomerRoleName, InvoiceState, ProjectRoleName
from app.billing.periods import due_date
from app.dataio.records.catalogue import PlanComponentRecord
from app.dataio.records.customers import CustomerRecord
from app.dataio.records.identity import (
    AccessSubnetRecord,
    CustomerRoleRecord,
    ProjectRoleRecord,
    TokenRecord,
    UserRecord,
)
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.payments import PaymentProfileRecord, PaymentRecord, ProofRecord
from app.dataio.records.record import Record
from app.dataio.waldur.source_database import UnreadableValue

Row = dict[str, Any]
_Record = TypeVar("_Record", bound=Record)
_Role = TypeVar("_Role", CustomerRoleName, ProjectRoleName)

SOURCE = "waldur"
NAMESPACE = UUID("2c1d2b0e-6f0c-5d4b-9a35-0b9c4a7d8e61")
"""The namespace of the UUIDs of rows that have none in Waldur, equal in every import."""
FIRST_NUMBER = 100000
"""Waldur shows this plus the id of an invoice as the number of the invoice."""
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The creation time of rows of which a release of Waldur does not store it."""
CUSTOMER_ROLES = {
    "CUSTOMER.OWNER": CustomerRoleName.OWNER,
    "CUSTOMER.MANAGER": CustomerRoleName.MANAGER,
    "CUSTOMER.SUPPORT": CustomerRoleName.SUPPORT,
    "CUSTOMER.READER": CustomerRoleName.READER,
}
PROJECT_ROLES = {
    "PROJECT.ADMIN": ProjectRoleName.ADMIN,
    "PROJECT.MANAGER": ProjectRoleName.MANAGER,
    "PROJECT.MEMBER": ProjectRoleName.MEMBER,
}


def require_readable(row: Row) -> Row:
    """Return the row; raises ValueError, with the name of the column, for an unreadable value."""
    for name, value in row.items():
        if isinstance(value, UnreadableValue):
            raise ValueError(f"{name}: {value.reason}")
    return row


def parse_uuid(value: object) -> UUID:
    """Return a UUID from a UUID or its 32 hexadecimal digits."""
    return value if isinstance(value, UUID) else UUID(str(value))


def parse_optional_uuid(value: object) -> UUID | None:
    """Return a UUID, or None for null."""
    return None if value is None else parse_uuid(value)


def required_reference(row: Row, name: str) -> UUID:
    """Return the UUID of a referenced row, which must exist."""
    if row[name] is None:
        raise ValueError(f"its {name} does not exist")
    return parse_uuid(row[name])


def optional_reference(row: Row, name: str) -> UUID | None:
    """Return the UUID of a referenced row, which must exist if its foreign key is set."""
    return None if row[f"{name}_id"] is None else required_reference(row, name)


def map_record(model: type[_Record], row: Row, **values: Any) -> _Record:
    """Return the record of a row, with the fields in `values` and the columns of the same name.

    The column of a reference has the UUID of the row that it names. `created_at` is `created`.
    """
    for name, (column, read) in _readers(model).items():
        if name not in values and column in row:
            values[name] = read(row)
    return model(**values)


@cache
def _readers(model: type[Record]) -> dict[str, tuple[str, Callable[[Row], object]]]:
    """Return, by field, the column that must exist and the function that reads it."""
    readers: dict[str, tuple[str, Callable[[Row], object]]] = {}
    for name, info in model.model_fields.items():
        kind = info.annotation
        if name == "uuid":
            readers[name] = name, lambda row: parse_uuid(row["uuid"])
        elif name == "created_at":
            readers[name] = "created", lambda row: row["created"] or UNKNOWN_TIME
        elif kind is UUID:
            readers[name] = name, partial(required_reference, name=name)
        elif kind == UUID | None:
            readers[name] = name, partial(optional_reference, name=name)
        elif isinstance(kind, type) and issubclass(kind, StrEnum):
            readers[name] = name, partial(_read_enum, enum=kind, name=name)
        else:
            readers[name] = name, itemgetter(name)
    return readers


def _read_enum(row: Row, enum: type[StrEnum], name: str) -> StrEnum:
    try:
        return enum(row[name])
    except ValueError:
        raise ValueError(f"the {name.replace('_', ' ')} {row[name]!r} is unknown") from None


def map_customer(
    row: Row, groups: Sequence[UUID], details: Mapping[UUID, Mapping[str, str]]
) -> CustomerRecord:
    """Map an organization. Keep its `details` that only this service has, by its UUID.

    A city precedes them, which the releases 8 of Waldur have.
    """
    known = {"city": "", **details.get(parse_uuid(row["uuid"]), {})}
    if row["city"] is not None:
        known["city"] = row["city"]
    return map_record(
        CustomerRecord,
        row,
        **known,
        accounting_start_date=row["accounting_start_date"] or row["created"] or UNKNOWN_TIME,
        organization_groups=tuple(groups),
    )


def map_user(row: Row) -> UserRecord:
    """Map a user."""
    name = f"{row['first_name'] or ''} {row['last_name'] or ''}".strip()
    return map_record(
        UserRecord,
        row,
        full_name=name or row["full_name"],
        created_at=row["date_joined"] or UNKNOWN_TIME,
    )


def token_uuid(user_uuid: UUID) -> UUID:
    """Return the UUID of a user's token. A Waldur user has only one."""
    return uuid5(NAMESPACE, f"token:{user_uuid}")


def map_token(row: Row) -> TokenRecord:
    """Map an API key to its digest. It expires as in a Waldur in which it is not used again."""
    owner = required_reference(row, "user")
    if row["key"] is None:
        raise ValueError("it has no key")
    return TokenRecord(
        uuid=token_uuid(owner),
        user=owner,
        digest=sha256(row["key"].encode()).hexdigest(),
        name="Waldur",
        created_at=row["created"],
        expires_at=_token_expiry(row["created"], row["token_lifetime"]),
    )


def _token_expiry(created: datetime | None, lifetime: int | None) -> datetime | None:
    if created is None or lifetime is None:
        return None
    try:
        return created + timedelta(seconds=lifetime)
    except OverflowError:
        raise ValueError("it would expire after the year 9999") from None


def map_customer_role(row: Row) -> CustomerRoleRecord:
    """Map a role at an organization."""
    role = _known_role(row, CUSTOMER_ROLES)
    return map_record(CustomerRoleRecord, row, role=role, **_validity(row))


def map_project_role(row: Row) -> ProjectRoleRecord:
    """Map a role in a project."""
    role = _known_role(row, PROJECT_ROLES)
    return map_record(ProjectRoleRecord, row, role=role, **_validity(row))


def _known_role(row: Row, roles: Mapping[str, _Role]) -> _Role:
    """Return the role with the name, if it was made for the kind of object at which it is held."""
    name, made_for = row["role"], row["role_scope"]
    if made_for not in (None, row["scope"]):
        raise ValueError(f"the role {name} of {made_for} gives no access here")
    if name not in roles:
        raise ValueError(f"the role {name} gives no access here")
    return roles[name]


def _validity(row: Row) -> dict[str, Any]:
    # Waldur marks an inactive role by null or by false.
    return {"is_active": bool(row["is_active"]), "expires_at": row["expiration_time"]}


def map_subnet(row: Row) -> AccessSubnetRecord:
    """Map an access subnet of the portal. The others limit the access to offerings."""
    if not row["applies_to_portal"]:
        raise ValueError("it limits the access to offerings, not to the organization")
    return map_record(AccessSubnetRecord, row, network=row["inet"])


def map_listed_subnet(row: Row) -> AccessSubnetRecord:
    """Map one network of the list that older releases store in the customer."""
    uuid = uuid5(NAMESPACE, f"subnet:{parse_uuid(row['customer'])}:{row['network']}")
    return map_record(AccessSubnetRecord, row, uuid=uuid)


def plan_component_uuid(waldur_id: int) -> UUID:
    """Return the UUID of a plan component, which has only an integer id in Waldur."""
    return uuid5(NAMESPACE, f"plan-component:{waldur_id}")


def map_plan_component(row: Row) -> PlanComponentRecord:
    """Map the price of a component in a plan."""
    uuid = plan_component_uuid(row["id"])
    return map_record(PlanComponentRecord, row, uuid=uuid)


def map_profile(row: Row) -> PaymentProfileRecord:
    """Map a payment profile."""
    attributes, is_active = row["attributes"] or {}, bool(row["is_active"])
    return map_record(PaymentProfileRecord, row, attributes=attributes, is_active=is_active)


def map_invoice(row: Row, payment_interval_days: int, *, has_grace_period: bool) -> InvoiceRecord:
    """Map an invoice. It keeps the number that Waldur shows.

    An invoice in the grace period of Waldur, which is not issued and may change, is pending here
    without a grace period.
    """
    issued: date | None = row["invoice_date"]
    if row["state"] == InvoiceState.PENDING_FINALIZATION and not has_grace_period:
        row = {**row, "state": InvoiceState.PENDING}
    return map_record(
        InvoiceRecord,
        row,
        number=FIRST_NUMBER + row["id"],
        # Invoices that are older than this column have no date: the first day of their month.
        created=row["created"] or _first_day(row["year"], row["month"]),
        due_date=None if issued is None else due_date(issued, payment_interval_days),
        source=SOURCE,
        unchanged_since_import=True,
    )


def _first_day(year: int | None, month: int | None) -> date:
    if year is None or month is None:
        raise ValueError("it has no month")
    return date(year, month, 1)


@dataclass(frozen=True)
class ExistingRecords:
    """The stored records that items may name."""

    plan_components: Container[UUID] = ()
    offerings: Container[UUID] = ()
    project_names: Mapping[UUID, str] = field(default_factory=dict)


def map_item(
    row: Row,
    invoice_uuid: UUID,
    existing: ExistingRecords,
) -> InvoiceItemRecord:
    """Map an item of an invoice.

    Its details name its offering and, in releases without a column for it, its plan component.
    Both may have been deleted since: the item gets those that exist. A compensation of an older
    release has no name of its project: it gets today's.
    """
    details = {} if row["details"] is None else row["details"]
    if not isinstance(details, dict):
        raise ValueError("details: not a JSON object")
    is_credit = row["credit_id"] is not None
    project_name, project_uuid = row["project_name"], row["project_uuid"]
    if is_credit and row["project"] is not None:
        project = parse_uuid(row["project"])
        project_name = project_name or existing.project_names.get(project, "")
        project_uuid = project_uuid or str(project)
    plan_component_id = row["plan_component_id"]
    if plan_component_id is None:
        plan_component_id = details.get("plan_component_id")
    plan_component = _parse_plan_component(plan_component_id)
    offering = _parse_offering(details.get("offering_uuid"))
    return map_record(
        InvoiceItemRecord,
        row,
        invoice=invoice_uuid,
        project_name=project_name,
        project_uuid=UUID(project_uuid) if project_uuid else None,
        offering=offering if offering in existing.offerings else None,
        plan_component=plan_component if plan_component in existing.plan_components else None,
        details=details,
        backend_uuid=parse_optional_uuid(row["backend_uuid"]),
        credit=is_credit,
        customer_credit=parse_optional_uuid(row["customer_credit"]) if is_credit else None,
    )


def map_payment(row: Row, proof: ProofRecord | None) -> PaymentRecord:
    """Map a payment."""
    return map_record(PaymentRecord, row, proof=proof)


def _parse_offering(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _parse_plan_component(value: object) -> UUID | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return plan_component_uuid(value) if type(value) is int else None
