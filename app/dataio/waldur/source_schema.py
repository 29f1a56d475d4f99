"""Which tables and columns of a Waldur database are read.

Nothing else is asked for, so that a release with other columns beside these is read all the same.
A column under `needed` must be there; one under `welcome` came with some release or may have gone
with another, and has a value for where it is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType


@dataclass(frozen=True)
class Wanted:
    """The columns that are read of one table."""

    needed: tuple[str, ...]
    welcome: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    optional: bool = False
    """Whether there are releases without the whole table, which then counts as empty."""


ZERO = Decimal(0)
JSON_COLUMNS = frozenset({"details", "attributes"})

WANTED: Mapping[str, Wanted] = MappingProxyType(
    {
        "core_user": Wanted(
            ("id", "uuid", "username", "email", "is_staff", "is_support", "is_active"),
            {
                "first_name": "",
                "last_name": "",
                "full_name": "",
                "date_joined": None,
                "token_lifetime": None,
            },
        ),
        "authtoken_token": Wanted(("key", "created", "user_id")),
        "django_content_type": Wanted(("id", "app_label", "model")),
        "permissions_role": Wanted(("id", "name")),
        "permissions_userrole": Wanted(
            ("id", "uuid", "user_id", "role_id", "content_type_id", "object_id", "is_active"),
            {"created": None, "expiration_time": None},
        ),
        "structure_customer": Wanted(
            ("id", "uuid", "name", "email"),
            {
                "created": None,
                "phone_number": "",
                "address": "",
                "postal": "",
                "country": "",
                "bank_name": "",
                "bank_account": "",
                "vat_code": "",
                "default_tax_percent": ZERO,
                "accounting_start_date": None,
                "archived": False,
                "access_subnets": "",
            },
        ),
        "structure_accesssubnet": Wanted(
            ("id", "uuid", "customer_id", "inet"), {"description": ""}, optional=True
        ),
        "structure_project": Wanted(
            ("id", "uuid", "name", "customer_id"), {"is_removed": False, "created": None}
        ),
        "marketplace_serviceprovider": Wanted(("id", "uuid", "customer_id"), {"created": None}),
        "marketplace_category": Wanted(("id", "uuid", "title")),
        "marketplace_offering": Wanted(
            ("id", "uuid", "name", "category_id", "customer_id"), {"type": "", "created": None}
        ),
        "marketplace_offeringcomponent": Wanted(
            ("id", "uuid", "offering_id", "type", "name", "billing_type"),
            {"measured_unit": "", "article_code": ""},
        ),
        "marketplace_plan": Wanted(
            ("id", "uuid", "offering_id", "name", "unit"),
            {"unit_price": ZERO, "article_code": "", "archived": False, "created": None},
        ),
        "marketplace_plancomponent": Wanted(
            ("id", "plan_id", "component_id", "price"), {"amount": 0}
        ),
        "marketplace_resource": Wanted(
            ("id", "uuid", "name", "offering_id", "plan_id", "project_id"), {"created": None}
        ),
        "invoices_paymentprofile": Wanted(
            ("id", "uuid", "organization_id", "payment_type", "is_active"),
            {"name": "", "attributes": {}},
        ),
        "invoices_payment": Wanted(
            ("id", "uuid", "profile_id", "invoice_id", "sum", "date_of_payment"),
            {"created": None, "proof": None},
        ),
        "invoices_customercredit": Wanted(
            ("id", "uuid", "customer_id", "value"),
            {
                "created": None,
                "end_date": None,
                "minimal_consumption": ZERO,
                "expected_consumption": None,
                "minimal_consumption_logic": "",
            },
            optional=True,
        ),
        "invoices_customercredit_offerings": Wanted(
            ("id", "customercredit_id", "offering_id"), optional=True
        ),
        "invoices_projectcredit": Wanted(("id",), optional=True),
        "invoices_invoice": Wanted(
            ("id", "uuid", "customer_id", "year", "month", "state", "tax_percent", "invoice_date"),
            {
                "created": None,
                "backend_id": "",
                "payment_url": "",
                "reference_number": "",
                "total_cost": None,
            },
        ),
        "invoices_invoiceitem": Wanted(
            (
                "id",
                "uuid",
                "invoice_id",
                "name",
                "unit_price",
                "quantity",
                "unit",
                "start",
                "end",
                "details",
                "resource_id",
            ),
            {
                "article_code": "",
                "measured_unit": "",
                "project_id": None,
                "project_name": "",
                "project_uuid": "",
                "backend_uuid": None,
                "credit_id": None,
            },
        ),
    }
)
