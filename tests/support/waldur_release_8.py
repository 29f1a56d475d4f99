"""The changes that turn the sample Waldur, of 2024, into one of the releases 8."""

from typing import Final

from tests.support.waldur_sample import uid

UPGRADE: Final = (
    "ALTER TABLE structure_customer ALTER default_tax_percent TYPE numeric(5,2),"
    " ADD display_billing_info_in_projects boolean NOT NULL DEFAULT true",
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
)
"""SQL statements, each by itself."""
TOKEN_DIGEST: Final = "e" * 64
PERSONAL_ACCESS_TOKEN: Final = (
    "INSERT INTO core_personalaccesstoken"
    f" VALUES (1, '{uid('personal-token')}', 'script', '{TOKEN_DIGEST}', true)"
)
