"""Maps rows of Waldur to records.

The functions raise ValueError, with the reason, for a row that cannot be mapped completely.
"""

from collections.abc import Callable, Container, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID, uuid5

from app.billing.enums import BillingType, BillingUnit, CustomerRoleName, InvoiceState, PaymentType
from app.billing.periods import due_date
from app.dataio import records
from app.dataio.waldur.source_database import UnreadableValue

Row = dict[str, Any]
_Value = TypeVar("_Value", bound=StrEnum)

SOURCE = "waldur"
NAMESPACE = UUID("2c1d2b0e-6f0c-5d4b-9a35-0b9c4a7d8e61")
"""The namespace of the UUIDs of rows that have none in Waldur, equal in every import."""
FIRST_NUMBER = 100000
"""Waldur shows this plus the id of an invoice as the number of the invoice."""
UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""The creation time of rows of which a release of Waldur does not store it."""
ROLES = {
    "CUSTOMER.OWNER": CustomerRoleName.OWNER,
    "CUSTOMER.MANAGER": CustomerRoleName.MANAGER,
    "CUSTOMER.SUPPORT": CustomerRoleName.SUPPORT,
    "CUSTOMER.READER": CustomerRoleName.READER,
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


def parse_enum(enum: type[_Value], value: str, name: str) -> _Value:
    """Return the member of an enumeration; raises ValueError for an unknown value."""
    try:
        return enum(value)
    except ValueError:
        raise ValueError(f"the {name} {value!r} is unknown") from None


def required_reference(row: Row, name: str) -> UUID:
    """Return the UUID of a referenced row, which must exist."""
    if row[name] is None:
        raise ValueError(f"its {name} does not exist")
    return parse_uuid(row[name])


def optional_reference(row: Row, name: str, key: str) -> UUID | None:
    """Return the UUID of a referenced row, which must exist if `key`, the foreign key, is set."""
    return None if row[key] is None else required_reference(row, name)


def map_customer(row: Row) -> records.CustomerRecord:
    """Map an organization."""
    created = row["created"] or UNKNOWN_TIME
    return records.CustomerRecord(
        uuid=parse_uuid(row["uuid"]),
        name=row["name"],
        email=row["email"],
        phone_number=row["phone_number"],
        address=row["address"],
        postal=row["postal"],
        country=row["country"],
        bank_name=row["bank_name"],
        bank_account=row["bank_account"],
        vat_code=row["vat_code"],
        default_tax_percent=row["default_tax_percent"],
        accounting_start_date=row["accounting_start_date"] or created,
        archived=row["archived"],
        created_at=created,
    )


def map_user(row: Row) -> records.UserRecord:
    """Map a user."""
    name = f"{row['first_name'] or ''} {row['last_name'] or ''}".strip()
    return records.UserRecord(
        uuid=parse_uuid(row["uuid"]),
        username=row["username"],
        full_name=name or row["full_name"],
        email=row["email"],
        is_staff=row["is_staff"],
        is_support=row["is_support"],
        is_active=row["is_active"],
        created_at=row["date_joined"] or UNKNOWN_TIME,
    )


def token_uuid(user_uuid: UUID) -> UUID:
    """Return the UUID of a user's token. A Waldur user has only one."""
    return uuid5(NAMESPACE, f"token:{user_uuid}")


def map_token(row: Row) -> records.TokenRecord:
    """Map an API key to its digest. It expires as in a Waldur in which it is not used again."""
    owner = required_reference(row, "user")
    if row["key"] is None:
        raise ValueError("it has no key")
    return records.TokenRecord(
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


def map_role(row: Row) -> records.CustomerRoleRecord:
    """Map a role at an organization."""
    name = row["role"]
    if name not in ROLES:
        raise ValueError(f"the role {name} gives no access to invoices")
    return records.CustomerRoleRecord(
        uuid=parse_uuid(row["uuid"]),
        user=required_reference(row, "user"),
        customer=required_reference(row, "customer"),
        role=ROLES[name],
        # Waldur marks an inactive role by null or by false.
        is_active=bool(row["is_active"]),
        created_at=row["created"] or UNKNOWN_TIME,
        expires_at=row["expiration_time"],
    )


def map_subnet(row: Row) -> records.AccessSubnetRecord:
    """Map an access subnet."""
    return records.AccessSubnetRecord(
        uuid=parse_uuid(row["uuid"]),
        customer=required_reference(row, "customer"),
        network=row["inet"],
        description=row["description"],
    )


def map_listed_subnet(customer_uuid: UUID, network: str) -> records.AccessSubnetRecord:
    """Map one network of the list that older releases store in the customer."""
    return records.AccessSubnetRecord(
        uuid=uuid5(NAMESPACE, f"subnet:{customer_uuid}:{network}"),
        customer=customer_uuid,
        network=network,  # type: ignore[arg-type]  # the model parses the text
    )


def map_project(row: Row) -> records.ProjectRecord:
    """Map a project."""
    return records.ProjectRecord(
        uuid=parse_uuid(row["uuid"]),
        customer=required_reference(row, "customer"),
        name=row["name"],
        is_removed=row["is_removed"],
        created_at=row["created"] or UNKNOWN_TIME,
    )


def map_provider(row: Row) -> records.ServiceProviderRecord:
    """Map a service provider."""
    return records.ServiceProviderRecord(
        uuid=parse_uuid(row["uuid"]),
        customer=required_reference(row, "customer"),
        created_at=row["created"] or UNKNOWN_TIME,
    )


def map_category(row: Row) -> records.CategoryRecord:
    """Map a category."""
    return records.CategoryRecord(uuid=parse_uuid(row["uuid"]), title=row["title"])


def map_offering(row: Row) -> records.OfferingRecord:
    """Map an offering."""
    return records.OfferingRecord(
        uuid=parse_uuid(row["uuid"]),
        name=row["name"],
        type=row["type"],
        category=required_reference(row, "category"),
        customer=optional_reference(row, "customer", "customer_id"),
        created_at=row["created"] or UNKNOWN_TIME,
    )


def map_component(row: Row) -> records.OfferingComponentRecord:
    """Map a component of an offering."""
    return records.OfferingComponentRecord(
        uuid=parse_uuid(row["uuid"]),
        offering=required_reference(row, "offering"),
        type=row["type"],
        name=row["name"],
        billing_type=parse_enum(BillingType, row["billing_type"], "billing type"),
        measured_unit=row["measured_unit"],
        article_code=row["article_code"],
    )


def map_plan(row: Row) -> records.PlanRecord:
    """Map a plan."""
    return records.PlanRecord(
        uuid=parse_uuid(row["uuid"]),
        offering=required_reference(row, "offering"),
        name=row["name"],
        unit=parse_enum(BillingUnit, row["unit"], "unit"),
        unit_price=row["unit_price"],
        article_code=row["article_code"],
        archived=row["archived"],
        created_at=row["created"] or UNKNOWN_TIME,
    )


def plan_component_uuid(waldur_id: int) -> UUID:
    """Return the UUID of a plan component, which has only an integer id in Waldur."""
    return uuid5(NAMESPACE, f"plan-component:{waldur_id}")


def map_plan_component(row: Row) -> records.PlanComponentRecord:
    """Map the price of a component in a plan."""
    return records.PlanComponentRecord(
        uuid=plan_component_uuid(row["id"]),
        plan=required_reference(row, "plan"),
        component=optional_reference(row, "component", "component_id"),
        amount=row["amount"],
        price=row["price"],
    )


def map_resource(row: Row) -> records.ResourceRecord:
    """Map a resource."""
    return records.ResourceRecord(
        uuid=parse_uuid(row["uuid"]),
        name=row["name"],
        offering=required_reference(row, "offering"),
        plan=optional_reference(row, "plan", "plan_id"),
        project=required_reference(row, "project"),
        created_at=row["created"] or UNKNOWN_TIME,
    )


def map_profile(row: Row) -> records.PaymentProfileRecord:
    """Map a payment profile."""
    return records.PaymentProfileRecord(
        uuid=parse_uuid(row["uuid"]),
        customer=required_reference(row, "customer"),
        name=row["name"],
        payment_type=parse_enum(PaymentType, row["payment_type"], "payment type"),
        attributes=row["attributes"] or {},
        is_active=bool(row["is_active"]),
    )


def map_credit(row: Row, offerings: Sequence[UUID]) -> records.CustomerCreditRecord:
    """Map a customer's credit. Newer releases store its minimal as its expected consumption."""
    consumption = row["expected_consumption"]
    return records.CustomerCreditRecord(
        uuid=parse_uuid(row["uuid"]),
        customer=required_reference(row, "customer"),
        value=row["value"],
        end_date=row["end_date"],
        minimal_consumption=row["minimal_consumption"] if consumption is None else consumption,
        minimal_consumption_logic=row["minimal_consumption_logic"],
        created_at=row["created"] or UNKNOWN_TIME,
        offerings=tuple(offerings),
    )


def map_invoice(row: Row, payment_interval_days: int) -> records.InvoiceRecord:
    """Map an invoice. It keeps the number that Waldur shows."""
    issued: date | None = row["invoice_date"]
    return records.InvoiceRecord(
        uuid=parse_uuid(row["uuid"]),
        number=FIRST_NUMBER + row["id"],
        customer=required_reference(row, "customer"),
        year=row["year"],
        month=row["month"],
        state=parse_enum(InvoiceState, row["state"], "state"),
        tax_percent=row["tax_percent"],
        # Invoices that are older than this column have no date: the first day of their month.
        created=row["created"] or _first_day(row["year"], row["month"]),
        invoice_date=issued,
        due_date=None if issued is None else due_date(issued, payment_interval_days),
        backend_id=row["backend_id"],
        payment_url=row["payment_url"],
        reference_number=row["reference_number"],
        source=SOURCE,
        unchanged_since_import=True,
    )


def _first_day(year: int | None, month: int | None) -> date:
    if year is None or month is None:
        raise ValueError("it has no month")
    return date(year, month, 1)


def map_item(
    row: Row,
    invoice_uuid: UUID,
    plan_components: Container[UUID],
    offerings: Container[UUID],
) -> records.InvoiceItemRecord:
    """Map an item of an invoice.

    Only its details name its plan component and offering, which may have been deleted since. The
    item gets those that are among `plan_components` and `offerings`.
    """
    details = {} if row["details"] is None else row["details"]
    if not isinstance(details, dict):
        raise ValueError("details: not a JSON object")
    is_credit = row["credit_id"] is not None
    return records.InvoiceItemRecord(
        uuid=parse_uuid(row["uuid"]),
        invoice=invoice_uuid,
        name=row["name"],
        unit_price=row["unit_price"],
        quantity=row["quantity"],
        unit=parse_enum(BillingUnit, row["unit"], "unit"),
        measured_unit=row["measured_unit"],
        article_code=row["article_code"],
        start=row["start"],
        end=row["end"],
        project=optional_reference(row, "project", "project_id"),
        project_name=row["project_name"],
        project_uuid=UUID(row["project_uuid"]) if row["project_uuid"] else None,
        resource=optional_reference(row, "resource", "resource_id"),
        offering=_reference_in_details(details, "offering_uuid", _parse_offering, offerings),
        plan_component=_reference_in_details(
            details, "plan_component_id", _parse_plan_component, plan_components
        ),
        details=details,
        backend_uuid=parse_optional_uuid(row["backend_uuid"]),
        credit=is_credit,
        customer_credit=parse_optional_uuid(row.get("customer_credit")) if is_credit else None,
    )


def map_payment(row: Row) -> records.PaymentRecord:
    """Map a payment without its proof, whose file is not in the database."""
    return records.PaymentRecord(
        uuid=parse_uuid(row["uuid"]),
        profile=required_reference(row, "profile"),
        invoice=optional_reference(row, "invoice", "invoice_id"),
        date_of_payment=row["date_of_payment"],
        sum=row["sum"],
        created_at=row["created"] or UNKNOWN_TIME,
    )


def _reference_in_details(
    details: Row, name: str, parse: Callable[[Any], UUID | None], existing: Container[UUID]
) -> UUID | None:
    uuid = parse(details.get(name))
    return uuid if uuid in existing else None


def _parse_offering(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _parse_plan_component(value: object) -> UUID | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return plan_component_uuid(value) if type(value) is int else None
