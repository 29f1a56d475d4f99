"""From rows of Waldur to the records of an exchange.

A function here raises ValueError, saying why, for a row that cannot be brought over whole.
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
from app.dataio.waldur.source import UnreadableValue

Row = dict[str, Any]
Word = TypeVar("Word", bound=StrEnum)

SOURCE = "waldur"
NAMESPACE = UUID("2c1d2b0e-6f0c-5d4b-9a35-0b9c4a7d8e61")
"""Where UUIDs are made for rows that have none in Waldur; they stay the same in every run."""
FIRST_NUMBER = 100000
"""A Waldur tells this plus an invoice's id as the invoice's number."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When a row was made for which a release of Waldur does not tell it."""
ROLES = {
    "CUSTOMER.OWNER": CustomerRoleName.OWNER,
    "CUSTOMER.MANAGER": CustomerRoleName.MANAGER,
    "CUSTOMER.SUPPORT": CustomerRoleName.SUPPORT,
    "CUSTOMER.READER": CustomerRoleName.READER,
}


def readable(row: Row) -> Row:
    """Return the row; raises ValueError that names a column whose value cannot be read."""
    for name, value in row.items():
        if isinstance(value, UnreadableValue):
            raise ValueError(f"{name}: {value.reason}")
    return row


def public_id(value: object) -> UUID:
    """Return a UUID that is stored as one, or as its 32 hexadecimal digits."""
    return value if isinstance(value, UUID) else UUID(str(value))


def optional_id(value: object) -> UUID | None:
    """Return a UUID, or None for null."""
    return None if value is None else public_id(value)


def word(kind: type[Word], value: str, what: str) -> Word:
    """Return a word of a vocabulary, or raise ValueError that names the unknown one."""
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"the {what} {value!r} is not known here") from None


def needed(row: Row, name: str) -> UUID:
    """Return a reference that must lead somewhere."""
    if row[name] is None:
        raise ValueError(f"its {name} does not exist")
    return public_id(row[name])


def linked(row: Row, name: str, key: str) -> UUID | None:
    """Return a reference that may be absent, but must not lead nowhere; `key` is Waldur's id."""
    return None if row[key] is None else needed(row, name)


def customer(row: Row) -> records.Customer:
    """Map an organization."""
    created = row["created"] or LONG_AGO
    return records.Customer(
        uuid=public_id(row["uuid"]),
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


def user(row: Row) -> records.User:
    """Map a user."""
    name = f"{row['first_name'] or ''} {row['last_name'] or ''}".strip()
    return records.User(
        uuid=public_id(row["uuid"]),
        username=row["username"],
        full_name=name or row["full_name"],
        email=row["email"],
        is_staff=row["is_staff"],
        is_support=row["is_support"],
        is_active=row["is_active"],
        created_at=row["date_joined"] or LONG_AGO,
    )


def token_id(user_uuid: UUID) -> UUID:
    """Return the UUID of a user's token; Waldur has one a user."""
    return uuid5(NAMESPACE, f"token:{user_uuid}")


def token(row: Row) -> records.Token:
    """Map a key to its digest; it expires as it would in Waldur if it were not used again."""
    owner = needed(row, "user")
    if row["key"] is None:
        raise ValueError("it has no key")
    return records.Token(
        uuid=token_id(owner),
        user=owner,
        digest=sha256(row["key"].encode()).hexdigest(),
        name="Waldur",
        created_at=row["created"],
        expires_at=_end_of(row["created"], row["token_lifetime"]),
    )


def _end_of(created: datetime | None, lifetime: int | None) -> datetime | None:
    if created is None or lifetime is None:
        return None
    try:
        return created + timedelta(seconds=lifetime)
    except OverflowError:
        raise ValueError("it would expire after the year 9999") from None


def role(row: Row) -> records.CustomerRole:
    """Map a role at an organization."""
    name = row["role"]
    if name not in ROLES:
        raise ValueError(f"the role {name} gives no access to invoices here")
    return records.CustomerRole(
        uuid=public_id(row["uuid"]),
        user=needed(row, "user"),
        customer=needed(row, "customer"),
        role=ROLES[name],
        # Waldur ends a role by null as well as by false.
        is_active=bool(row["is_active"]),
        created_at=row["created"] or LONG_AGO,
        expires_at=row["expiration_time"],
    )


def subnet(row: Row) -> records.AccessSubnet:
    """Map a network."""
    return records.AccessSubnet(
        uuid=public_id(row["uuid"]),
        customer=needed(row, "customer"),
        network=row["inet"],
        description=row["description"],
    )


def listed_subnet(customer_uuid: UUID, network: str) -> records.AccessSubnet:
    """Map one network of the list that older releases keep with the customer."""
    return records.AccessSubnet(
        uuid=uuid5(NAMESPACE, f"subnet:{customer_uuid}:{network}"),
        customer=customer_uuid,
        network=network,  # type: ignore[arg-type]  # the model reads it from text
    )


def project(row: Row) -> records.Project:
    """Map a project."""
    return records.Project(
        uuid=public_id(row["uuid"]),
        customer=needed(row, "customer"),
        name=row["name"],
        is_removed=row["is_removed"],
        created_at=row["created"] or LONG_AGO,
    )


def provider(row: Row) -> records.ServiceProvider:
    """Map a service provider."""
    return records.ServiceProvider(
        uuid=public_id(row["uuid"]),
        customer=needed(row, "customer"),
        created_at=row["created"] or LONG_AGO,
    )


def category(row: Row) -> records.Category:
    """Map a category."""
    return records.Category(uuid=public_id(row["uuid"]), title=row["title"])


def offering(row: Row) -> records.Offering:
    """Map an offering."""
    return records.Offering(
        uuid=public_id(row["uuid"]),
        name=row["name"],
        type=row["type"],
        category=needed(row, "category"),
        customer=linked(row, "customer", "customer_id"),
        created_at=row["created"] or LONG_AGO,
    )


def component(row: Row) -> records.OfferingComponent:
    """Map a component of an offering."""
    return records.OfferingComponent(
        uuid=public_id(row["uuid"]),
        offering=needed(row, "offering"),
        type=row["type"],
        name=row["name"],
        billing_type=word(BillingType, row["billing_type"], "billing type"),
        measured_unit=row["measured_unit"],
        article_code=row["article_code"],
    )


def plan(row: Row) -> records.Plan:
    """Map a plan."""
    return records.Plan(
        uuid=public_id(row["uuid"]),
        offering=needed(row, "offering"),
        name=row["name"],
        unit=word(BillingUnit, row["unit"], "unit"),
        unit_price=row["unit_price"],
        article_code=row["article_code"],
        archived=row["archived"],
        created_at=row["created"] or LONG_AGO,
    )


def plan_component_id(waldur_id: int) -> UUID:
    """Return the UUID of a plan component, which has only an id in Waldur."""
    return uuid5(NAMESPACE, f"plan-component:{waldur_id}")


def plan_component(row: Row) -> records.PlanComponent:
    """Map the price of a component in a plan."""
    return records.PlanComponent(
        uuid=plan_component_id(row["id"]),
        plan=needed(row, "plan"),
        component=linked(row, "component", "component_id"),
        amount=row["amount"],
        price=row["price"],
    )


def resource(row: Row) -> records.Resource:
    """Map a resource."""
    return records.Resource(
        uuid=public_id(row["uuid"]),
        name=row["name"],
        offering=needed(row, "offering"),
        plan=linked(row, "plan", "plan_id"),
        project=needed(row, "project"),
        created_at=row["created"] or LONG_AGO,
    )


def profile(row: Row) -> records.PaymentProfile:
    """Map how a customer pays."""
    return records.PaymentProfile(
        uuid=public_id(row["uuid"]),
        customer=needed(row, "customer"),
        name=row["name"],
        payment_type=word(PaymentType, row["payment_type"], "payment type"),
        attributes=row["attributes"] or {},
        is_active=bool(row["is_active"]),
    )


def credit(row: Row, offerings: Sequence[UUID]) -> records.CustomerCredit:
    """Map a customer's credit; newer releases call its minimal consumption the expected one."""
    consumption = row["expected_consumption"]
    return records.CustomerCredit(
        uuid=public_id(row["uuid"]),
        customer=needed(row, "customer"),
        value=row["value"],
        end_date=row["end_date"],
        minimal_consumption=row["minimal_consumption"] if consumption is None else consumption,
        minimal_consumption_logic=row["minimal_consumption_logic"],
        created_at=row["created"] or LONG_AGO,
        offerings=tuple(offerings),
    )


def invoice(row: Row, payment_interval_days: int) -> records.Invoice:
    """Map an invoice, with the number that its customer knows."""
    issued: date | None = row["invoice_date"]
    return records.Invoice(
        uuid=public_id(row["uuid"]),
        number=FIRST_NUMBER + row["id"],
        customer=needed(row, "customer"),
        year=row["year"],
        month=row["month"],
        state=word(InvoiceState, row["state"], "state"),
        tax_percent=row["tax_percent"],
        # Invoices made before Waldur kept the date have none: made for their month, say.
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
        raise ValueError("it is for no month")
    return date(year, month, 1)


def item(
    row: Row,
    invoice_uuid: UUID,
    plan_components: Container[UUID],
    offerings: Container[UUID],
) -> records.InvoiceItem:
    """Map a line of an invoice.

    Its plan component and offering are told by its details alone, which may speak of some that
    are gone: only those among `plan_components` and `offerings` are referred to.
    """
    details = {} if row["details"] is None else row["details"]
    if not isinstance(details, dict):
        raise ValueError("details: they are no object")
    is_credit = row["credit_id"] is not None
    return records.InvoiceItem(
        uuid=public_id(row["uuid"]),
        invoice=invoice_uuid,
        name=row["name"],
        unit_price=row["unit_price"],
        quantity=row["quantity"],
        unit=word(BillingUnit, row["unit"], "unit"),
        measured_unit=row["measured_unit"],
        article_code=row["article_code"],
        start=row["start"],
        end=row["end"],
        project=linked(row, "project", "project_id"),
        project_name=row["project_name"],
        project_uuid=UUID(row["project_uuid"]) if row["project_uuid"] else None,
        resource=linked(row, "resource", "resource_id"),
        offering=_told(details, "offering_uuid", _as_uuid, offerings),
        plan_component=_told(details, "plan_component_id", _as_plan_component, plan_components),
        details=details,
        backend_uuid=optional_id(row["backend_uuid"]),
        credit=is_credit,
        customer_credit=optional_id(row.get("customer_credit")) if is_credit else None,
    )


def payment(row: Row) -> records.Payment:
    """Map a payment, without the file that proves it, which is not in the database."""
    return records.Payment(
        uuid=public_id(row["uuid"]),
        profile=needed(row, "profile"),
        invoice=linked(row, "invoice", "invoice_id"),
        date_of_payment=row["date_of_payment"],
        sum=row["sum"],
        created_at=row["created"] or LONG_AGO,
    )


def _told(
    details: Row, name: str, read: Callable[[Any], UUID | None], known: Container[UUID]
) -> UUID | None:
    uuid = read(details.get(name))
    return uuid if uuid in known else None


def _as_uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _as_plan_component(value: object) -> UUID | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return plan_component_id(value) if type(value) is int else None
