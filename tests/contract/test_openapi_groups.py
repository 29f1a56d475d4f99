"""The OpenAPI document, compared with that of the documented API's groups beside invoices."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # comes with schemathesis, without stubs

from app.main import create_app
from app.settings import Settings
from tests.contract.documents import (
    Document,
    compare_component,
    compare_operation,
    operations_of,
)

NEW_OPERATION = "invoices_import_usage"
"""The operation of invoices that older documents lack. `test_openapi.py` compares the others."""

DIFFERENCES: dict[str, tuple[str, ...]] = {
    "every operation documents impersonation": ("*[?]X-Impersonated-User-Uuid: is added",),
    "reads are conditional": ("*[?]If-None-Match: is added",),
    "changes can be conditional and repeated": (
        "*[?]If-Match: is added",
        "*[?]Idempotency-Key: is added",
    ),
    "years and months are whole numbers": ("*[?]start_month: is *", "*[?]start_year: is *"),
    "sums of a project or customer need one": (
        "*_costs_*[?]project_uuid required: is True*",
        "*_costs_for_period_*[?]customer_uuid required: is True*",
    ),
    "the codes of periods are listed": ("*_costs_for_period_*[?]period: is *",),
    "reports of a month and of a provider are read one by one, too": (
        "financial_reports_*[?]provider_uuid: is added",
        "financial_reports_retrieve[?]month: is added",
        "financial_reports_retrieve[?]year: is added",
    ),
    "the orders of reports are listed, and can be several": (
        "financial_reports_*[?]o: is *",
        "financial_reports_*[?]o style: is *",
        "financial_reports_*[?]o explode: is *",
    ),
    "an item of a seller is found by its UUID": (
        "provider_invoice_items_retrieve place: is *",
        "provider_invoice_items_retrieve[?]id: is missing",
        "provider_invoice_items_retrieve[?]uuid: is added",
    ),
    "an answer has the keys of both releases of the client": (
        "payment_profiles_enable 200: is EnabledProfile*",
        "payments_link_to_invoice 200: is LinkedInvoice*",
        "InvoiceItemUUID.invoice: is added",
    ),
    "numbers and amounts have more precise types": (
        "CostsForPeriod.total_price: is *'format': 'decimal'*",
        "InvoiceCost.compensation: is *'double'*",
        "InvoiceCost.incurred: is *'double'*",
        "*CustomerCredit.withdrawable_balance: is *'double'*",
        "*.grace_coefficient: is *",
        "*CustomerAffiliate*.*: is *'uri'*",
        "*CustomerAffiliate.total_earned: is *'double'*",
        "ProjectCredit.allocated_customer_credit: is *'decimal'*",
    ),
    "amounts of a report are numbers, as in the recorded release": ("NestedPriceEstimate.*",),
    "the quantity of a limit is a whole number, as in the older document": (
        "ResourceLimitPeriod.quantity: is *",
    ),
    "what does not exist is null": (
        "*CustomerCredit.consumption_last_month: is *True*",
        "Payment.invoice: is *True*",
        "ProjectCredit.customer_credit: is *True*",
    ),
    "a request may say that it has no UUID": ("ImportUsageItemRequest.customer_uuid: is *True*",),
    "a credit names only offerings that exist": ("*CustomerCredit*.offerings: is *",),
    "a report has a month that exists, and a limited number of recipients": (
        "FinancialReportEmailRequest.*: is *",
    ),
    "lengths are limited where values are stored, not where they are shown": (
        "ImportUsageItemRequest.article_code: is *30*",
        "InvoiceItemDetail.measured_unit: is *",
        "Nested*Offering.name: is *",
        "Nested*Offering.type: is *",
    ),
    "an item of an invoice omits what it has not": (
        "InvoiceItem required: lacks *",
        "InvoiceItem.project_uuid: is *False*",
        "InvoiceItemDetails required: lacks *",
        "ResourceLimitPeriod required: lacks *",
    ),
    "an object with any keys has no component": (
        "InvoiceItemDetail.details: is *",
        "InvoiceItemDetailDetails: is missing",
    ),
    "a month of costs names its items first": ("InvoiceCost order: is *",),
    "requests of both kinds of credits begin with the fields that they share": (
        "*CreditRequest order: is *",
    ),
}
"""By the reason, the patterns of the lines that it explains."""


@pytest.fixture(scope="module")
def own() -> Document:
    settings = Settings(database_url="postgresql:///none", redis_url="unix:///none")
    return create_app(settings).openapi()


@pytest.fixture(scope="module")
def documented(shared: Path) -> Document:
    text = (shared / "contract" / "openapi-billing-8.1.yaml").read_text()
    loaded: Document = yaml.safe_load(text)
    return loaded


def of_groups(operations: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: each
        for name, each in operations.items()
        if not name.startswith("invoices_") or name == NEW_OPERATION
    }


def components_of(document: Document, names: set[str]) -> set[str]:
    """Return the components that operations or other components refer to."""
    found: set[str] = set()
    texts = [str(operation) for name, operation in operations_of(document).items() if name in names]
    while texts:
        for part in texts.pop().split("'#/components/schemas/")[1:]:
            name = part.split("'")[0]
            if name not in found:
                found.add(name)
                texts.append(str(document["components"]["schemas"][name]))
    return found


def test_operations_and_components_are_as_documented(own: Document, documented: Document) -> None:
    ours, theirs = of_groups(operations_of(own)), of_groups(operations_of(documented))
    assert theirs.keys() <= ours.keys(), theirs.keys() - ours.keys()
    lines = [
        line
        for name, operation in theirs.items()
        for line in compare_operation(own, ours[name], documented, operation)
    ]
    for name in sorted(components_of(documented, set(theirs))):
        lines += compare_component(own, documented, name)
    patterns = [pattern for group in DIFFERENCES.values() for pattern in group]
    unknown = [line for line in lines if not any(fnmatchcase(line, each) for each in patterns)]
    assert not unknown, "\n".join(unknown)
    unused = [each for each in patterns if not any(fnmatchcase(line, each) for line in lines)]
    assert not unused, f"these differences are gone: {unused}"
