"""The rows of a sample Waldur: two customers, one provider, three invoices and some special cases.

It has only the columns that an import reads.
"""

from copy import deepcopy
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

EPOCH = "2025-03-01T08:00:00Z"
KEYS = {
    "root": "a" * 40,
    "olga": "b" * 40,
    "rita": "c" * 40,
}


def uid(name: str) -> str:
    """Return the UUID of a row of the sample, by a name for it."""
    return str(uuid5(NAMESPACE_DNS, f"sample.example:{name}"))


def _user(number: int, name: str, **values: Any) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": uid(name),
        "username": name,
        "email": f"{name}@sample.example",
        "first_name": name.title(),
        "last_name": "Sample",
        "is_staff": False,
        "is_support": False,
        "is_active": True,
        "date_joined": EPOCH,
        **values,
    }


def _customer(number: int, name: str, **values: Any) -> dict[str, Any]:
    return {
        "id": number,
        "uuid": uid(name),
        "created": EPOCH,
        "name": name,
        "native_name": "Pirc\u0113js",
        "abbreviation": "B",
        "slug": name,
        "registration_code": "40003",
        "agreement_number": "A-7",
        "backend_id": "erp-1",
        "contact_details": "Ask for Olga.",
        "email": f"bills@{name}.example",
        "phone_number": "+371 20 00 00 00",
        "address": "Harbour road 3",
        "postal": "LV-1010",
        "country": "LV",
        "bank_name": "Harbour bank",
        "bank_account": "LV00 0000",
        "vat_code": "LV123",
        "default_tax_percent": "21.00",
        "accounting_start_date": EPOCH,
        "archived": False,
        **values,
    }


def invoice(number: int, **values: Any) -> dict[str, Any]:
    """Return an issued invoice of the buyer; `number` is Waldur's id."""
    return {
        "id": number,
        "uuid": uid(f"invoice-{number}"),
        "customer_id": 11,
        "year": 2026,
        "month": number,
        "state": "created",
        "tax_percent": "21.00",
        "invoice_date": f"2026-{number + 1:02}-01",
        "created": f"2026-{number:02}-01",
        "backend_id": "",
        "payment_url": "",
        "reference_number": "",
        "total_cost": "0.00",
        **values,
    }


def item(number: int, invoice_id: int, **values: Any) -> dict[str, Any]:
    """Return a line of an invoice; `number` is Waldur's id."""
    return {
        "id": number,
        "uuid": uid(f"item-{number}"),
        "invoice_id": invoice_id,
        "name": f"Cores {number}",
        "unit_price": "1.2500000000",
        "quantity": "10.0000000000",
        "unit": "day",
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-31T23:59:59.999999Z",
        "details": {
            "plan_component_id": 51,
            "offering_uuid": uid("cloud").replace("-", ""),
            "rate": 0.1,
        },
        "article_code": "C-1",
        "measured_unit": "cores",
        "project_id": 21,
        "project_name": "Sea",
        "project_uuid": uid("sea").replace("-", ""),
        "resource_id": 61,
        **values,
    }


_ROWS: dict[str, list[dict[str, Any]]] = {
    "core_user": [
        _user(1, "root", is_staff=True),
        _user(2, "olga"),
        _user(3, "rita", token_lifetime=3600),
    ],
    "authtoken_token": [
        {"key": KEYS["root"], "created": EPOCH, "user_id": 1},
        {"key": KEYS["olga"], "created": EPOCH, "user_id": 2},
        {"key": KEYS["rita"], "created": EPOCH, "user_id": 3},
    ],
    "django_content_type": [
        {"id": 7, "app_label": "structure", "model": "customer"},
        {"id": 8, "app_label": "structure", "model": "project"},
        {"id": 9, "app_label": "marketplace", "model": "offering"},
    ],
    "permissions_role": [
        {"id": 1, "name": "CUSTOMER.OWNER"},
        {"id": 2, "name": "PROJECT.ADMIN"},
        {"id": 3, "name": "CUSTOMER.AUDITOR"},
        {"id": 4, "name": "CUSTOMER.READER"},
        {"id": 5, "name": "OFFERING.MANAGER"},
    ],
    "permissions_userrole": [
        {
            "id": number,
            "uuid": uid(f"role-{number}"),
            "created": EPOCH,
            "user_id": user_id,
            "role_id": role_id,
            "content_type_id": kind,
            "object_id": place,
            "is_active": active,
            "expiration_time": until,
        }
        for number, user_id, role_id, kind, place, active, until in (
            (1, 2, 1, 7, 11, True, None),
            (2, 3, 2, 8, 21, True, None),
            (3, 3, 3, 7, 11, True, None),
            (4, 3, 4, 7, 12, None, "2026-06-01T00:00:00Z"),
            (5, 3, 5, 9, 31, True, None),
        )
    ],
    "structure_customer": [
        _customer(11, "buyer"),
        _customer(12, "seller", archived=True, default_tax_percent="0.00"),
    ],
    "structure_accesssubnet": [
        {
            "id": 1,
            "uuid": uid("subnet"),
            "description": "ship",
            "inet": "192.0.2.0/24",
            "customer_id": 12,
        }
    ],
    "structure_project": [
        {
            "id": 21,
            "uuid": uid("sea"),
            "created": EPOCH,
            "name": "Sea",
            "slug": "sea",
            "customer_id": 11,
            "is_removed": True,
        }
    ],
    "marketplace_serviceprovider": [
        {"id": 1, "uuid": uid("provider"), "created": EPOCH, "customer_id": 12}
    ],
    "marketplace_category": [{"id": 1, "uuid": uid("compute"), "title": "Compute"}],
    "marketplace_offering": [
        {
            "id": 31,
            "uuid": uid("cloud"),
            "created": EPOCH,
            "name": "Cloud",
            "type": "Sample.Cloud",
            "category_id": 1,
            "customer_id": 12,
        },
        {
            "id": 32,
            "uuid": uid("orphan"),
            "created": EPOCH,
            "name": "Nobody's",
            "type": "Sample.Basic",
            "category_id": 1,
            "customer_id": None,
        },
    ],
    "marketplace_offeringcomponent": [
        {
            "id": 41,
            "uuid": uid("cores"),
            "offering_id": 31,
            "type": "cpu",
            "name": "Cores",
            "billing_type": "few",
            "measured_unit": "cores",
            "article_code": "C-1",
        }
    ],
    "marketplace_plan": [
        {
            "id": 45,
            "uuid": uid("plan"),
            "created": EPOCH,
            "offering_id": 31,
            "name": "By day",
            "unit": "day",
            "unit_price": "1.2500000000",
            "article_code": "",
            "archived": False,
        }
    ],
    "marketplace_plancomponent": [
        {"id": 51, "plan_id": 45, "component_id": 41, "amount": 1, "price": "1.2500000000"},
        {"id": 52, "plan_id": 45, "component_id": None, "amount": 0, "price": "0.0000000000"},
    ],
    "marketplace_resource": [
        {
            "id": 61,
            "uuid": uid("cluster"),
            "created": EPOCH,
            "name": "Cluster",
            "offering_id": 31,
            "plan_id": 45,
            "project_id": 21,
        }
    ],
    "invoices_paymentprofile": [
        {
            "id": 1,
            "uuid": uid("profile"),
            "organization_id": 11,
            "name": "By invoice",
            "payment_type": "invoices",
            "attributes": {"note": "net 30"},
            "is_active": True,
        },
        {
            "id": 2,
            "uuid": uid("old-profile"),
            "organization_id": 11,
            "name": "Contract",
            "payment_type": "fixed_price",
            "attributes": {},
            "is_active": None,
        },
    ],
    "invoices_customercredit": [
        {
            "id": 1,
            "uuid": uid("credit"),
            "created": EPOCH,
            "customer_id": 11,
            "value": "50.12345",
            "end_date": "2027-01-31",
            "minimal_consumption": "5.00000",
            "minimal_consumption_logic": "linear",
        }
    ],
    "invoices_customercredit_offerings": [{"id": 1, "customercredit_id": 1, "offering_id": 31}],
    "invoices_projectcredit": [
        {
            "id": 1,
            "uuid": uid("share"),
            "created": EPOCH,
            "project_id": 21,
            "value": "20.50000",
            "use_organisation_credit": True,
        }
    ],
    "invoices_invoice": [
        invoice(1, state="paid", reference_number="R-1", total_cost="15.13"),
        invoice(2, total_cost="14.53", created=None),
        invoice(3, state="pending", invoice_date=None),
    ],
    "invoices_invoiceitem": [
        item(101, 1),
        item(102, 2),
        item(
            103,
            2,
            name="Compensation",
            unit_price="-0.5000000000",
            quantity="1.0000000000",
            unit="quantity",
            credit_id=1,
            details={},
            resource_id=None,
            project_id=None,
        ),
        item(104, 3, details={"plan_component_id": 999, "offering_uuid": "none"}),
    ],
    "invoices_payment": [
        {
            "id": 1,
            "uuid": uid("payment"),
            "created": EPOCH,
            "profile_id": 1,
            "invoice_id": 1,
            "sum": "15.13",
            "date_of_payment": "2026-02-10",
            "proof": "proofs/scan.pdf",
        }
    ],
}


def rows() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the sample; a test may change them."""
    return deepcopy(_ROWS)
