"""The fictitious organizations with their projects, and their users."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from app.billing.enums import CustomerRoleName, PaymentType
from app.billing.periods import Period
from app.customers.models import Customer, Project
from app.identity.models import AccessSubnet, CustomerRole, User
from app.local.demo.organizations import ORGANIZATIONS, Organization
from app.local.demo.rows import Rows, identifier
from app.payments.models import PaymentProfile


@dataclass(frozen=True)
class Person:
    """A user with roles, each `(organization, role)`."""

    username: str
    full_name: str
    roles: tuple[tuple[str, CustomerRoleName], ...] = ()
    is_staff: bool = False
    is_support: bool = False
    is_active: bool = True


_OWNER, _MANAGER = CustomerRoleName.OWNER, CustomerRoleName.MANAGER
_SUPPORT, _READER = CustomerRoleName.SUPPORT, CustomerRoleName.READER

PEOPLE = (
    Person("demo-staff", "Agnes Tuulik", is_staff=True),
    Person("demo-support", "Bo Lindqvist-Ødegård", is_support=True),
    Person("demo-owner", "Kadri Õunapuu", (("tammelinna", _OWNER), ("sjavar", _OWNER))),
    Person("villem", "Villem Jõeäär", (("tammelinna", _MANAGER), ("virmalis", _OWNER))),
    Person("mette", "Mette Søholm", (("fjordlys", _OWNER),)),
    Person("amelie", "Amélie Brumaire", (("brume", _OWNER), ("tammelinna", _SUPPORT))),
    Person("zbigniew", "Zbigniew Łąka", (("zuraw", _OWNER),)),
    Person("lukas", "Lukas Föhnwind", (("gletscher", _OWNER),)),
    Person("hanna", "Hanna Größl", (("groesswald", _OWNER), ("gletscher", _READER))),
    Person("fiona", "Fiona MacHollow", (("hollow", _OWNER),)),
    Person("eleni", "Ελένη Ανέμου", (("anemos", _MANAGER),)),
    Person("ines", "Inês Maré", (("farol", _OWNER),)),
    Person("sora", "空 美雲", (("kumo", _OWNER),)),
    Person("retired", "Oskar Endine", (("tammelinna", _OWNER),), is_active=False),
)


def add_people(rows: Rows, now: datetime) -> None:
    """Add organizations with projects and payment profiles, users with roles, and a subnet."""
    running = Period.containing(now)
    for organization in ORGANIZATIONS:
        _add_organization(rows, organization, running)
    for person in PEOPLE:
        _add_person(rows, person, running)
    _add_past_role(rows, "amelie", "gletscher", now, expires_at=now - timedelta(days=20))
    _add_past_role(rows, "ines", "hollow", now, expires_at=None)
    rows.add(
        AccessSubnet,
        "gletscher",
        customer_id=identifier(Customer, "gletscher"),
        network="198.51.100.0/24",
        description="Hochalm, Rechenraum",
    )


def _add_organization(rows: Rows, organization: Organization, running: Period) -> None:
    started = running.shifted(-organization.starts).start
    created = min(started, running.start)
    registration_code, registration_scheme = organization.registration
    endpoint, endpoint_scheme = organization.endpoint
    exemption_code, exemption_reason = organization.exemption
    customer = rows.add(
        Customer,
        organization.key,
        name=organization.name,
        email=f"billing@{organization.key}.example",
        phone_number=f"+00 555 01{len(rows.rows_of(Customer)):02}",
        contact_name=organization.contact,
        address=organization.street,
        city=organization.city,
        postal=organization.postal,
        country=organization.country,
        bank_name="Example Bank",
        bank_account=organization.bank_account,
        vat_code=organization.vat_code,
        registration_code=registration_code,
        registration_scheme=registration_scheme,
        endpoint=endpoint,
        endpoint_scheme=endpoint_scheme,
        buyer_reference=organization.buyer_reference,
        order_reference=organization.order_reference,
        language=organization.language,
        default_tax_percent=Decimal(organization.tax_percent),
        tax_category=organization.tax_category,
        tax_exemption_code=exemption_code,
        tax_exemption_reason=exemption_reason,
        accounting_start_date=started,
        archived=organization.archived,
        created_at=created,
    )
    for key, name in organization.projects:
        rows.add(Project, key, customer_id=customer, name=name, created_at=created)
    _add_profile(rows, organization, customer, running)


def _add_profile(rows: Rows, organization: Organization, customer: object, running: Period) -> None:
    attributes = {}
    if organization.profile is PaymentType.FIXED_PRICE:
        attributes = {
            "agreement_number": "FP-0042",
            "contract_sum": 24000,
            "end_date": running.shifted(11).last_day.isoformat(),
        }
    rows.add(
        PaymentProfile,
        organization.key,
        customer_id=customer,
        name=f"{organization.name}: contract",
        payment_type=organization.profile,
        attributes=attributes,
        is_active=True,
    )


def _add_person(rows: Rows, person: Person, running: Period) -> None:
    user = rows.add(
        User,
        person.username,
        username=person.username,
        full_name=person.full_name,
        email=f"{person.username}@example.com",
        is_staff=person.is_staff,
        is_support=person.is_support,
        is_active=person.is_active,
        created_at=running.shifted(-18).start,
    )
    for organization, role in person.roles:
        rows.add(
            CustomerRole,
            f"{person.username}/{organization}",
            user_id=user,
            customer_id=identifier(Customer, organization),
            role=role,
            is_active=True,
            expires_at=None,
            created_at=running.shifted(-18).start,
        )


def _add_past_role(
    rows: Rows, username: str, organization: str, now: datetime, *, expires_at: datetime | None
) -> None:
    """Add a role that has expired, or that was revoked."""
    rows.add(
        CustomerRole,
        f"{username}/{organization}/past",
        user_id=identifier(User, username),
        customer_id=identifier(Customer, organization),
        role=CustomerRoleName.MANAGER,
        is_active=expires_at is not None,
        expires_at=expires_at,
        created_at=Period.containing(now).shifted(-14).start,
    )
