"""Every call of the `waldur-api-client` for the groups beside invoices, against a running service.

This is a separate program, so that it can run with any installed version of the client:
`python waldur_client_groups.py BASE_URL STAFF_KEY FACTS GROUPS`, where FACTS is JSON with the UUIDs
and names of the service's records, and GROUPS are separated by commas. It prints the ids of the
operations that it called, as a JSON list, or fails with an assertion's message if a response cannot
be parsed or has other data.
"""

import datetime
import io
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from importlib import import_module
from typing import Any
from uuid import UUID

from waldur_api_client import AuthenticatedClient
from waldur_api_client.errors import UnexpectedStatus
from waldur_api_client.types import File

NIL = UUID(int=0)
DAY = datetime.date(2026, 11, 5)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
NEXT_YEAR = datetime.date(datetime.datetime.now(datetime.UTC).year + 1, 1, 1)
IS_NEWEST = True
try:
    import_module("waldur_api_client.api.credit_transactions")
except ModuleNotFoundError:
    IS_NEWEST = False


class Session:
    """The calls of one run."""

    def __init__(self, base_url: str, key: str, facts: dict[str, str]) -> None:
        self.client = AuthenticatedClient(base_url=base_url, token=key)
        self.base_url = base_url
        self.facts = facts
        self.called: set[str] = set()

    def call(self, group: str, operation: str, *args: Any, **values: Any) -> Any:
        """Call an operation of a group and return the parsed response."""
        name = f"{group}_{operation}"
        module = import_module(f"waldur_api_client.api.{group}.{name}")
        self.called.add(name)
        return module.sync_detailed(*args, client=self.client, **values).parsed

    def body(self, model: str, **values: Any) -> Any:
        """Return a request body of this version of the client."""
        return getattr(import_module("waldur_api_client.models"), model).from_dict(values)

    def uuid(self, name: str) -> UUID:
        """Return the UUID of a record."""
        return UUID(self.facts[name])

    def url(self, collection: str, uuid: UUID | str) -> str:
        """Return the URL of a record."""
        return f"{self.base_url}/api/{collection}/{uuid}/"

    def refused(self, status: int, function: Callable[[], Any]) -> str:
        """Check that a call is refused with this status, and return the message."""
        try:
            function()
        except UnexpectedStatus as error:
            refusal = error
        else:
            raise AssertionError(f"not refused with {status}")
        assert refusal.status_code == status, (refusal.status_code, refusal.content)
        return refusal.content.decode()


def uuids(records: Any) -> set[str]:
    """Return the UUIDs of parsed records."""
    return {str(record.uuid) for record in records}


def check_payment_profiles(session: Session) -> None:
    """Create, read, change, enable and delete a payment profile."""
    group = "payment_profiles"
    customer = session.uuid("customer")
    body = session.body(
        "PaymentProfileRequest",
        name="Contract",
        organization=session.url("customers", customer),
        payment_type="fixed_price",
        attributes={"end_date": "2030-01-01", "agreement_number": "A-1", "contract_sum": "10"},
        is_active=False,
    )
    made = session.call(group, "create", body=body)
    assert made.organization_uuid == customer
    assert made.attributes.agreement_number == "A-1"
    listed = session.call(group, "list", organization_uuid=customer, page_size=100)
    assert uuids(listed) == {str(made.uuid), session.facts["profile"]}
    assert session.call(group, "count", organization_uuid=customer) == 2
    assert session.call(group, "retrieve", made.uuid) == made
    body.name = "Renamed"
    assert session.call(group, "update", made.uuid, body=body).name == "Renamed"
    patch = session.body("PatchedPaymentProfileRequest", name="Again")
    assert session.call(group, "partial_update", made.uuid, body=patch).name == "Again"
    enabled = session.call(group, "enable", made.uuid)
    assert not IS_NEWEST or enabled.status
    assert session.call(group, "retrieve", made.uuid).is_active
    assert not session.call(group, "retrieve", session.uuid("profile")).is_active
    session.call(group, "destroy", made.uuid)
    session.call(group, "enable", session.uuid("profile"))
    assert session.call(group, "count", organization_uuid=customer) == 1


def check_payments(session: Session) -> None:
    """Create payments by each media type, read, change, link, unlink and delete them."""
    group = "payments"
    profile = session.url("payment-profiles", session.facts["profile"])
    values = {"profile": profile, "date_of_payment": DAY.isoformat(), "sum": "10.00"}
    request = session.body("PaymentRequest", **values)
    made = session.call(group, "create", body=request)
    assert (made.sum_, made.invoice_uuid) == ("10.00", NIL)
    assert (made.customer_uuid, made.date_of_payment) == (session.uuid("customer"), DAY)
    form = session.body("PaymentRequestForm", **values)
    by_form = session.call(group, "create", body=form)
    proof = File(io.BytesIO(PDF), file_name="proof.pdf", mime_type="application/pdf")
    multipart = session.body("PaymentRequestMultipart", **values)
    multipart.proof = proof
    by_multipart = session.call(group, "create", body=multipart)
    assert by_multipart.proof
    check_proofs(session, form, multipart)

    expected = {str(each.uuid) for each in (made, by_form, by_multipart)}
    expected.add(session.facts["payment"])
    assert uuids(session.call(group, "list", page_size=100)) == expected
    assert session.call(group, "count", profile_uuid=session.uuid("profile")) == len(expected)
    assert session.call(group, "retrieve", made.uuid) == made
    request.sum_ = "11.00"
    assert session.call(group, "update", made.uuid, body=request).sum_ == "11.00"
    patch = session.body("PatchedPaymentRequest", sum="12.00")
    assert session.call(group, "partial_update", made.uuid, body=patch).sum_ == "12.00"

    link = session.body(
        "LinkToInvoiceRequest", invoice=session.url("invoices", session.facts["paid"])
    )
    assert session.call(group, "link_to_invoice", made.uuid, body=link) is not None
    linked = session.call(group, "retrieve", made.uuid)
    assert linked.invoice_uuid == session.uuid("paid")
    assert linked.invoice_period == session.facts["paid period"]
    unlinked = session.call(group, "unlink_from_invoice", made.uuid)
    assert not IS_NEWEST or unlinked.detail
    for each in (made, by_form, by_multipart):
        session.call(group, "destroy", each.uuid)
    assert session.call(group, "count") == 1


def check_proofs(session: Session, form: Any, multipart: Any) -> None:
    """A proof that arrives as text is refused; see findings/waldur-client-proof-in-forms.sh."""
    before = session.call("payments", "count")
    form.proof = File(io.BytesIO(PDF), file_name="proof.pdf", mime_type="application/pdf")
    multipart.proof = None
    for body in (form, multipart):
        message = session.refused(400, partial(session.call, "payments", "create", body=body))
        assert "proof" in message, message
    assert session.call("payments", "count") == before


def check_items(session: Session) -> None:
    """Read items and their sums, change one, compensate it, move it and delete it."""
    group = "invoice_items"
    item, project, customer = (session.uuid(name) for name in ("item", "project", "customer"))
    filters = {"project_uuid": project}
    assert uuids(session.call(group, "list", **filters)) == {str(item)}
    assert session.call(group, "count", **filters) == 1
    found = session.call(group, "retrieve", item)
    assert (found.name, found.customer_uuid) == (session.facts["item name"], customer)
    total = session.call(group, "total_price_retrieve", **filters)
    assert Decimal(total.total_price) == Decimal(found.unit_price) * Decimal(found.quantity)
    assert session.call(group, "total_price_count", **filters) == 1
    (cost,) = session.call(group, "costs_list", **filters)
    assert cost.price == float(total.total_price)
    assert not IS_NEWEST or [each.name for each in cost.items] == [found.name]
    assert session.call(group, "costs_count", **filters) == 1
    for kind, values in (("project", filters), ("customer", {"customer_uuid": customer})):
        costs = session.call(group, f"{kind}_costs_for_period_retrieve", period=2, **values)
        assert costs.start_date.day == 1
        assert Decimal(costs.total_price) >= Decimal(total.total_price)
        session.call(group, f"{kind}_costs_for_period_count", **values)

    update = session.body("InvoiceItemUpdateRequest", article_code="NEW", quantity="2.0000000000")
    assert session.call(group, "update", item, body=update).article_code == "NEW"
    patch = session.body("PatchedInvoiceItemUpdateRequest", article_code="NEWER")
    assert session.call(group, "partial_update", item, body=patch).article_code == "NEWER"
    assert Decimal(session.call(group, "retrieve", item).quantity) == 2
    if IS_NEWEST:
        assert session.call(group, "consumptions_list", item) == []
        body = session.body("InvoiceItemCompensationRequest", offering_component_name="CPU")
        made = session.call(group, "create_compensation", item, body=body)
        compensation = session.call(group, "retrieve", made.invoice_item_uuid)
        assert Decimal(compensation.unit_price) == -Decimal(found.unit_price)
        session.call(group, "destroy", made.invoice_item_uuid)
    pending = session.url("invoices", session.facts["earlier"])
    body = session.body("InvoiceItemMigrateToRequest", invoice=pending)
    moved = session.call(group, "migrate_to", item, body=body)
    assert not IS_NEWEST or moved.invoice_item_uuid == item
    assert session.facts["earlier"] in session.call(group, "retrieve", item).invoice
    session.call(group, "destroy", item)
    assert session.call(group, "count", **filters) == 0


def check_provider_items(session: Session) -> None:
    """Read the items of a seller. The client declares an integer id, and writes any value."""
    group = "provider_invoice_items"
    item, offering = session.uuid("item"), session.uuid("offering")
    listed = session.call(group, "list", offering_uuid=offering)
    assert str(item) in uuids(listed)
    assert session.call(group, "count", offering_uuid=offering) == len(listed)
    assert session.call(group, "retrieve", item).uuid == item


def check_customer_credits(session: Session) -> None:
    """Create, read, change, compensate and delete a credit of a customer."""
    group = "customer_credits"
    other = session.uuid("other customer")
    values = {
        "value": "100.00000",
        "customer": session.url("customers", other),
        "offerings": [session.url("marketplace-provider-offerings", session.facts["offering"])],
        "end_date": NEXT_YEAR.isoformat(),
        "minimal_consumption_logic": "fixed",
    }
    request = session.body("CreateCustomerCreditRequest", **values)
    made = session.call(group, "create", body=request)
    assert made.customer_uuid == other
    assert Decimal(made.value) == 100
    everything = session.call(group, "list", page_size=100)
    assert uuids(everything) == {str(made.uuid), session.facts["credit"]}
    assert session.call(group, "count", customer_uuid=other) == 1
    credit = session.call(group, "retrieve", made.uuid)
    assert [str(each.uuid) for each in credit.offerings] == [session.facts["offering"]]
    request.value = "90.00000"
    assert Decimal(session.call(group, "update", made.uuid, body=request).value) == 90
    patch = session.body("PatchedCreateCustomerCreditRequest", value="80.00000")
    assert Decimal(session.call(group, "partial_update", made.uuid, body=patch).value) == 80
    for action in ("apply_compensations", "clear_compensations"):
        body = {} if IS_NEWEST else {"body": session.body("CustomerCreditRequest", **values)}
        session.call(group, action, made.uuid, **body)
    session.call(group, "consumptions_list", made.uuid)
    if IS_NEWEST:
        body = session.body("WithdrawableAdjustmentRequest", amount="5.00000", comment="Gift")
        adjusted = session.call(group, "adjust_withdrawable", made.uuid, body=body)
        assert Decimal(adjusted.value) == 85
        assert adjusted.withdrawable_balance == 5
    session.call(group, "destroy", made.uuid)
    assert session.call(group, "count", customer_uuid=other) == 0


def check_project_credits(session: Session) -> None:
    """Create, read, change and delete a credit of a project."""
    group = "project_credits"
    project = session.uuid("other project")
    values = {"value": "10.00000", "project": session.url("projects", project)}
    request = session.body("ProjectCreditRequest", **values)
    made = session.call(group, "create", body=request)
    assert made.project_uuid == project
    assert Decimal(made.value) == 10
    expected = {str(made.uuid), session.facts["project credit"]}
    assert uuids(session.call(group, "list", page_size=100)) == expected
    assert session.call(group, "count", project_uuid=project) == 1
    assert session.call(group, "retrieve", made.uuid).customer_uuid == session.uuid("customer")
    request.value = "9.00000"
    assert Decimal(session.call(group, "update", made.uuid, body=request).value) == 9
    patch = session.body("PatchedProjectCreditRequest", value="8.00000")
    assert Decimal(session.call(group, "partial_update", made.uuid, body=patch).value) == 8
    session.call(group, "destroy", made.uuid)
    assert session.call(group, "count", project_uuid=project) == 0


def check_credit_transactions(session: Session) -> None:
    """Read the ledger, which earlier checks have written to."""
    group = "credit_transactions"
    moved = session.call(group, "list", customer_uuid=session.uuid("other customer"))
    assert Decimal(moved[-1].amount) == 100
    assert session.call(group, "count") >= len(moved)
    assert session.call(group, "retrieve", moved[0].uuid) == moved[0]


def check_affiliates(session: Session) -> None:
    """Create, read, change and delete an affiliate; read the fees of another."""
    group = "customer_affiliates"
    known = session.uuid("affiliate")
    values = {
        "customer": session.url("customers", session.facts["other customer"]),
        "affiliate": session.url("customers", session.facts["customer"]),
        "fee_percent": "5.00",
    }
    request = session.body("CreateCustomerAffiliateRequest", **values)
    made = session.call(group, "create", body=request)
    assert Decimal(made.fee_percent) == 5
    assert uuids(session.call(group, "list")) == {str(made.uuid), str(known)}
    assert session.call(group, "count") == 2
    assert session.call(group, "retrieve", made.uuid).customer_uuid == made.customer_uuid
    request.fee_percent = "6.00"
    assert Decimal(session.call(group, "update", made.uuid, body=request).fee_percent) == 6
    patch = session.body("PatchedCreateCustomerAffiliateRequest", fee_percent="7.00")
    assert Decimal(session.call(group, "partial_update", made.uuid, body=patch).fee_percent) == 7
    (fee,) = session.call(group, "accruals_list", known)
    earned = session.call(group, "earnings_retrieve", known)
    assert Decimal(earned.total_earned) == Decimal(fee.amount)
    session.call(group, "destroy", made.uuid)
    assert session.call(group, "count") == 1


def check_reports(session: Session) -> None:
    """Read the costs of all customers and of one."""
    group = "financial_reports"
    customer = session.uuid("customer")
    reports = session.call(group, "list", page_size=100)
    assert str(customer) in uuids(reports)
    assert session.call(group, "count") == len(reports)
    report = session.call(group, "retrieve", customer)
    assert session.facts["profile"] in uuids(report.payment_profiles)
    cost = session.call("billing_total_cost", "retrieve", name=report.name)
    assert cost.price == float(report.billing_price_estimate.total), (cost, report)


def check_report_by_mail(session: Session) -> None:
    """Send the report. The response has had another status before version 8."""
    if IS_NEWEST:
        body = session.body(
            "FinancialReportEmailRequest", emails=["books@example.com"], year=2026, month=10
        )
        assert session.call("invoice", "send_financial_report_by_mail", body=body).status


def check_import_usage(session: Session) -> None:
    """Import one item of usage."""
    today = datetime.datetime.now(datetime.UTC)
    item = {"customer_uuid": session.facts["customer"], "name": "Usage", "unit_price": "3.00"}
    body = session.body("ImportUsageRequest", year=today.year, month=today.month, items=[item])
    done = session.call("invoices", "import_usage", body=body)
    assert (done.created, done.skipped, done.errors) == (1, 0, [])


CHECKS = {
    "payment_profiles": check_payment_profiles,
    "payments": check_payments,
    "provider_invoice_items": check_provider_items,
    "financial_reports": check_reports,
    "invoice": check_report_by_mail,
    "invoice_items": check_items,
    "invoices": check_import_usage,
    "customer_credits": check_customer_credits,
    "project_credits": check_project_credits,
    "credit_transactions": check_credit_transactions,
    "customer_affiliates": check_affiliates,
}
"""By the group, in an order in which later ones find the records of earlier ones."""


def main() -> None:
    """Make every call, and print the ids of the operations."""
    base_url, key, facts, groups = sys.argv[1:]
    session = Session(base_url, key, json.loads(facts))
    for group, check in CHECKS.items():
        if group in groups.split(","):
            check(session)
    sys.stdout.write(json.dumps(sorted(session.called)))


if __name__ == "__main__":
    main()
