"""The tables and columns of a Waldur database that an import reads.

The import selects nothing else, so that other columns of a release do not matter. A `required`
column must exist. A column under `defaults` exists in some releases, and has a default value in the
others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType


@dataclass(frozen=True)
class TableSchema:
    """The columns that an import reads from one table."""

    required: tuple[str, ...]
    defaults: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    optional: bool = False
    """Whether some releases do not have the table. It then counts as empty."""


ZERO = Decimal(0)
JSON_COLUMNS = frozenset({"details", "attributes"})

SOURCE_SCHEMA: Mapping[str, TableSchema] = MappingProxyType(
    {
        "core_user": TableSchema(
            ("id", "uuid", "username", "email", "is_staff", "is_support", "is_active"),
            {
                "first_name": "",
                "last_name": "",
                "full_name": "",
                "date_joined": None,
                "token_lifetime": None,
            },
        ),
        "authtoken_token": TableSchema(("key", "created", "user_id")),
        "django_content_type": TableSchema(("id", "app_label", "model")),
        "permissions_role": TableSchema(("id", "name")),
        "permissions_userrole": TableSchema(
            ("id", "uuid", "user_id", "role_id", "content_type_id", "object_id", "is_active"),
            {"created": None, "expiration_time": None},
        ),
        "structure_customer": TableSchema(
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
        "structure_accesssubnet": TableSchema(
            ("id", "uuid", "customer_id", "inet"), {"description": ""}, optional=True
        ),
        "structure_project": TableSchema(
            ("id", "uuid", "name", "customer_id"), {"is_removed": False, "created": None}
        ),
        "marketplace_serviceprovider": TableSchema(
            ("id", "uuid", "customer_id"), {"created": None}
        ),
        "marketplace_category": TableSchema(("id", "uuid", "title")),
        "marketplace_offering": TableSchema(
            ("id", "uuid", "name", "category_id", "customer_id"), {"type": "", "created": None}
        ),
        "marketplace_offeringcomponent": TableSchema(
            ("id", "uuid", "offering_id", "type", "name", "billing_type"),
            {"measured_unit": "", "article_code": ""},
        ),
        "marketplace_plan": TableSchema(
            ("id", "uuid", "offering_id", "name", "unit"),
            {"unit_price": ZERO, "article_code": "", "archived": False, "created": None},
        ),
        "marketplace_plancomponent": TableSchema(
            ("id", "plan_id", "component_id", "price"), {"amount": 0}
        ),
        "marketplace_resource": TableSchema(
            ("id", "uuid", "name", "offering_id", "plan_id", "project_id"), {"created": None}
        ),
        "invoices_paymentprofile": TableSchema(
            ("id", "uuid", "organization_id", "payment_type", "is_active"),
            {"name": "", "attributes": {}},
        ),
        "invoices_payment": TableSchema(
            ("id", "uuid", "profile_id", "invoice_id", "sum", "date_of_payment"),
            {"created": None, "proof": None},
        ),
        "invoices_customercredit": TableSchema(
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
        "invoices_customercredit_offerings": TableSchema(
            ("id", "customercredit_id", "offering_id"), optional=True
        ),
        "invoices_projectcredit": TableSchema(("id",), optional=True),
        "invoices_invoice": TableSchema(
            ("id", "uuid", "customer_id", "year", "month", "state", "tax_percent", "invoice_date"),
            {
                "created": None,
                "backend_id": "",
                "payment_url": "",
                "reference_number": "",
                "total_cost": None,
            },
        ),
        "invoices_invoiceitem": TableSchema(
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
