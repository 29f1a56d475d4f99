"""The changes that turn the sample Waldur, of 2024, into one of the releases 8."""

from typing import Any, Final

from tests.support.waldur_sample import EPOCH, uid

GROUPS: Final = (
    "CREATE TABLE structure_organizationgroup"
    " (id integer NOT NULL, uuid uuid NOT NULL, name varchar(150) NOT NULL)"
)
"""The table of groups, which older releases have, too."""
UPGRADE: Final = (
    "ALTER TABLE structure_customer ALTER default_tax_percent TYPE numeric(5,2),"
    " ADD display_billing_info_in_projects boolean NOT NULL DEFAULT true,"
    " ADD city varchar(100) NOT NULL DEFAULT ''",
    "ALTER TABLE structure_accesssubnet"
    " ADD applies_to_portal boolean NOT NULL DEFAULT true,"
    " ADD is_staff_managed boolean NOT NULL DEFAULT false",
    "ALTER TABLE permissions_role ADD content_type_id integer",
    "UPDATE permissions_role SET content_type_id = CASE"
    " WHEN name ~ '^PROJECT' THEN 8 WHEN name ~ '^OFFERING' THEN 9 ELSE 7 END",
    "ALTER TABLE permissions_userrole ADD source varchar(150) NOT NULL DEFAULT ''",
    "CREATE TABLE core_personalaccesstoken (id integer NOT NULL, uuid uuid NOT NULL,"
    " name varchar(150) NOT NULL, token_hash varchar(64) NOT NULL, is_active boolean NOT NULL)",
    "ALTER TABLE invoices_invoiceitem ADD plan_component_id integer",
    "ALTER TABLE invoices_customercredit RENAME minimal_consumption TO expected_consumption",
    "ALTER TABLE invoices_customercredit ALTER value TYPE numeric(16,5),"
    " ADD grace_coefficient numeric(3,0) NOT NULL DEFAULT 0,"
    " ADD apply_as_minimal_consumption boolean NOT NULL DEFAULT true",
    "ALTER TABLE invoices_projectcredit ALTER value TYPE numeric(16,5),"
    " DROP use_organisation_credit,"
    " ADD expected_consumption numeric(16,5) NOT NULL DEFAULT 0,"
    " ADD minimal_consumption_logic varchar(10) NOT NULL DEFAULT 'fixed',"
    " ADD grace_coefficient numeric(3,0) NOT NULL DEFAULT 0,"
    " ADD apply_as_minimal_consumption boolean NOT NULL DEFAULT true,"
    " ADD end_date date,"
    " ADD mark_unused_credit_as_spent_on_project_termination boolean NOT NULL DEFAULT false",
    "CREATE TABLE invoices_credittransaction (id integer NOT NULL, uuid uuid NOT NULL,"
    " created timestamptz NOT NULL, amount numeric(16,5) NOT NULL,"
    " transaction_type varchar(30) NOT NULL, comment text NOT NULL, credit_id integer,"
    " project_credit_id integer, project_uuid varchar(32) NOT NULL,"
    " project_name varchar(500) NOT NULL, billing_period date, content_type_id integer,"
    " object_id integer)",
    "CREATE TABLE invoices_customeraffiliate (id integer NOT NULL, uuid uuid NOT NULL,"
    " created timestamptz NOT NULL, fee_percent numeric(8,5) NOT NULL,"
    " is_active boolean NOT NULL, start_date date, end_date date, affiliate_id integer NOT NULL,"
    " customer_id integer NOT NULL)",
    "CREATE TABLE invoices_affiliatefeeaccrual (id integer NOT NULL, uuid uuid NOT NULL,"
    " created timestamptz NOT NULL, amount numeric(16,5) NOT NULL, invoice_id integer NOT NULL,"
    " affiliate_link_id integer NOT NULL)",
    "INSERT INTO django_content_type VALUES (10, 'invoices', 'invoice')",
    GROUPS,
    "CREATE TABLE structure_customer_organization_groups"
    " (id integer NOT NULL, customer_id integer NOT NULL, organizationgroup_id integer NOT NULL)",
)
"""SQL statements, each by itself."""
TOKEN_DIGEST: Final = "e" * 64
PERSONAL_ACCESS_TOKEN: Final = (
    "INSERT INTO core_personalaccesstoken"
    f" VALUES (1, '{uid('personal-token')}', 'script', '{TOKEN_DIGEST}', true)"
)


def movement(number: int, amount: str, **values: Any) -> dict[str, Any]:
    """Return a movement of the buyer's credit; `number` is Waldur's id."""
    return {
        "id": number,
        "uuid": uid(f"movement-{number}"),
        "created": EPOCH,
        "amount": amount,
        "transaction_type": "staff_grant",
        "comment": "",
        "credit_id": 1,
        "project_uuid": "",
        "project_name": "",
        **values,
    }


def affiliate(number: int, affiliate_id: int, **values: Any) -> dict[str, Any]:
    """Return an active affiliate of the buyer; `number` is Waldur's id."""
    return {
        "id": number,
        "uuid": uid(f"affiliate-{number}"),
        "created": EPOCH,
        "fee_percent": "2.50000",
        "is_active": True,
        "affiliate_id": affiliate_id,
        "customer_id": 11,
        **values,
    }


NEW_ROWS: Final[dict[str, dict[str, Any]]] = {
    "core_personalaccesstoken": {
        "id": 1,
        "uuid": uid("personal-token"),
        "name": "script",
        "token_hash": TOKEN_DIGEST,
        "is_active": True,
    },
    "structure_organizationgroup": {"id": 1, "uuid": uid("group"), "name": "Ports"},
    "structure_customer_organization_groups": {
        "id": 1,
        "customer_id": 11,
        "organizationgroup_id": 1,
    },
    "invoices_credittransaction": movement(1, "50.12345", content_type_id=10, object_id=1),
    "invoices_customeraffiliate": affiliate(1, 12),
    "invoices_affiliatefeeaccrual": {
        "id": 1,
        "uuid": uid("fee"),
        "created": EPOCH,
        "amount": "0.31250",
        "invoice_id": 1,
        "affiliate_link_id": 1,
    },
    "invoices_projectcredit": {
        "id": 2,
        "uuid": uid("second-share"),
        "created": EPOCH,
        "project_id": 21,
        "value": "1.00000",
        "expected_consumption": "0.00000",
        "minimal_consumption_logic": "fixed",
        "grace_coefficient": 0,
        "apply_as_minimal_consumption": True,
        "mark_unused_credit_as_spent_on_project_termination": False,
    },
}
"""A row of each table that the releases 8 have added or changed much."""
