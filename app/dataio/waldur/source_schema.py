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

    required: str
    """The names, separated by white space."""
    defaults: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    references: Mapping[str, tuple[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    """By the name of a record's field: the table that it names, and the foreign key to its id."""
    optional: bool = False
    """Whether some releases do not have the table. It then counts as empty."""


ZERO = Decimal(0)
JSON_COLUMNS = frozenset({"details", "attributes"})

_CUSTOMER = ("structure_customer", "customer_id")
_OFFERING = ("marketplace_offering", "offering_id")
_PLAN = ("marketplace_plan", "plan_id")
_PROJECT = ("structure_project", "project_id")

SOURCE_SCHEMA: Mapping[str, TableSchema] = MappingProxyType(
    {
        "core_user": TableSchema(
            "id uuid username email is_staff is_support is_active",
            dict.fromkeys(("first_name", "last_name", "full_name"), "")
            | {"date_joined": None, "token_lifetime": None},
        ),
        "authtoken_token": TableSchema("key created user_id"),
        "django_content_type": TableSchema("id app_label model"),
        "core_personalaccesstoken": TableSchema("id uuid", optional=True),
        "permissions_role": TableSchema("id name", {"content_type_id": None}),
        "permissions_userrole": TableSchema(
            "id uuid user_id role_id content_type_id object_id is_active",
            {"created": None, "expiration_time": None},
        ),
        "structure_customer": TableSchema(
            "id uuid name email",
            dict.fromkeys(("phone_number", "address", "postal", "country", "vat_code"), "")
            | dict.fromkeys(("bank_name", "bank_account", "access_subnets"), "")
            | dict.fromkeys(("native_name", "abbreviation", "slug", "registration_code"), "")
            | dict.fromkeys(("agreement_number", "backend_id", "contact_details"), "")
            | {"created": None, "accounting_start_date": None, "archived": False}
            | {"default_tax_percent": ZERO, "display_billing_info_in_projects": True}
            | {"organization_group_id": None, "city": None},
        ),
        "structure_organizationgroup": TableSchema("id uuid name", optional=True),
        "structure_customer_organization_groups": TableSchema(
            "id customer_id organizationgroup_id", optional=True
        ),
        "structure_accesssubnet": TableSchema(
            "id uuid customer_id inet",
            {"description": "", "applies_to_portal": True},
            {"customer": _CUSTOMER},
            optional=True,
        ),
        "structure_project": TableSchema(
            "id uuid name customer_id",
            {"slug": "", "is_removed": False, "created": None},
            {"customer": _CUSTOMER},
        ),
        "marketplace_serviceprovider": TableSchema(
            "id uuid customer_id", {"created": None}, {"customer": _CUSTOMER}
        ),
        "marketplace_category": TableSchema("id uuid title"),
        "marketplace_offering": TableSchema(
            "id uuid name category_id customer_id",
            {"type": "", "created": None},
            {"category": ("marketplace_category", "category_id"), "customer": _CUSTOMER},
        ),
        "marketplace_offeringcomponent": TableSchema(
            "id uuid offering_id type name billing_type",
            {"measured_unit": "", "article_code": ""},
            {"offering": _OFFERING},
        ),
        "marketplace_plan": TableSchema(
            "id uuid offering_id name unit",
            {"unit_price": ZERO, "article_code": "", "archived": False, "created": None},
            {"offering": _OFFERING},
        ),
        "marketplace_plancomponent": TableSchema(
            "id plan_id component_id price",
            {"amount": 0},
            {"plan": _PLAN, "component": ("marketplace_offeringcomponent", "component_id")},
        ),
        "marketplace_resource": TableSchema(
            "id uuid name offering_id plan_id project_id",
            {"created": None},
            {"offering": _OFFERING, "plan": _PLAN, "project": _PROJECT},
        ),
        "invoices_paymentprofile": TableSchema(
            "id uuid organization_id payment_type is_active",
            {"name": "", "attributes": {}},
            {"customer": ("structure_customer", "organization_id")},
        ),
        "invoices_payment": TableSchema(
            "id uuid profile_id invoice_id sum date_of_payment",
            {"created": None, "proof": None},
            {
                "profile": ("invoices_paymentprofile", "profile_id"),
                "invoice": ("invoices_invoice", "invoice_id"),
            },
        ),
        "media_file": TableSchema("id name content size hash", optional=True),
        "invoices_customercredit": TableSchema(
            "id uuid customer_id value",
            dict.fromkeys(("created", "end_date", "expected_consumption"))
            | {"minimal_consumption": ZERO, "minimal_consumption_logic": "fixed"}
            | {"grace_coefficient": ZERO, "apply_as_minimal_consumption": True},
            {"customer": _CUSTOMER},
            optional=True,
        ),
        "invoices_customercredit_offerings": TableSchema(
            "id customercredit_id offering_id", optional=True
        ),
        "invoices_projectcredit": TableSchema(
            "id uuid project_id value",
            dict.fromkeys(("created", "end_date"))
            | {"expected_consumption": ZERO, "minimal_consumption_logic": "fixed"}
            | {"grace_coefficient": ZERO, "apply_as_minimal_consumption": True}
            | {"mark_unused_credit_as_spent_on_project_termination": False}
            | {"use_organisation_credit": False},
            {"project": _PROJECT},
            optional=True,
        ),
        "invoices_credittransaction": TableSchema(
            "id uuid created amount transaction_type credit_id",
            dict.fromkeys(("comment", "project_uuid", "project_name"), "")
            | dict.fromkeys(("project_credit_id", "billing_period"))
            | dict.fromkeys(("content_type_id", "object_id")),
            optional=True,
        ),
        "invoices_customeraffiliate": TableSchema(
            "id uuid customer_id affiliate_id fee_percent",
            dict.fromkeys(("created", "start_date", "end_date")) | {"is_active": True},
            {"customer": _CUSTOMER, "affiliate": ("structure_customer", "affiliate_id")},
            optional=True,
        ),
        "invoices_affiliatefeeaccrual": TableSchema(
            "id uuid affiliate_link_id invoice_id amount",
            {"created": None},
            {
                "affiliate_link": ("invoices_customeraffiliate", "affiliate_link_id"),
                "invoice": ("invoices_invoice", "invoice_id"),
            },
            optional=True,
        ),
        "invoices_invoice": TableSchema(
            "id uuid customer_id year month state tax_percent invoice_date",
            dict.fromkeys(("backend_id", "payment_url", "reference_number"), "")
            | {"created": None, "total_cost": None},
            {"customer": _CUSTOMER},
        ),
        "invoices_invoiceitem": TableSchema(
            "id uuid invoice_id name unit_price quantity unit start end details resource_id",
            dict.fromkeys(("article_code", "measured_unit", "project_name", "project_uuid"), "")
            | dict.fromkeys(("project_id", "backend_uuid", "credit_id", "plan_component_id")),
            {
                "project": _PROJECT,
                "resource": ("marketplace_resource", "resource_id"),
                "customer_credit": ("invoices_customercredit", "credit_id"),
            },
        ),
    }
)
