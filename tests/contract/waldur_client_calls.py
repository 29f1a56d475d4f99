"""Every call of the `waldur-api-client` for invoices, against a running service.

This is a separate program, so that it can run with any installed version of the client:
`python waldur_client_calls.py BASE_URL STAFF_KEY OWNER_KEY FACTS`, where FACTS is JSON with the
expected data. It prints the number of its calls, or fails with an assertion's message if a response
cannot be parsed or has other data.
"""

import asyncio
import datetime
import io
import json
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any
from uuid import UUID

from waldur_api_client import AuthenticatedClient
from waldur_api_client.api.invoices import (
    invoices_count,
    invoices_growth_count,
    invoices_growth_retrieve,
    invoices_items_retrieve,
    invoices_list,
    invoices_paid,
    invoices_retrieve,
    invoices_send_notification,
    invoices_set_backend_id,
    invoices_set_payment_url,
    invoices_set_reference_number,
    invoices_stats_list,
)
from waldur_api_client.errors import UnexpectedStatus
from waldur_api_client.models.backend_id_request import BackendIdRequest
from waldur_api_client.models.invoice_state_enum import InvoiceStateEnum
from waldur_api_client.models.paid_request import PaidRequest
from waldur_api_client.models.paid_request_form import PaidRequestForm
from waldur_api_client.models.paid_request_multipart import PaidRequestMultipart
from waldur_api_client.models.payment_url_request import PaymentURLRequest
from waldur_api_client.models.reference_number_request import ReferenceNumberRequest
from waldur_api_client.types import File, Unset


def choices(newer: str, older: str) -> Any:
    """Return an enumeration: of a parameter in version 8, of an operation in version 7."""
    models = "waldur_api_client.models"
    try:
        return getattr(import_module(models), newer)
    except AttributeError:
        return getattr(import_module(models), older)


Field = choices("InvoiceFieldEnum", "InvoicesListFieldItem")
Order = choices("InvoiceOEnum", "InvoicesListOItem")
State = choices("InvoiceStateEnum", "InvoicesListStateItem")

DAY = datetime.date(2026, 11, 5)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


class Session:
    """The calls of one run, with their number."""

    def __init__(self, client: AuthenticatedClient, facts: dict[str, Any]) -> None:
        self.client = client
        self.facts = facts
        self.calls = 0

    def call(self, function: Callable[..., Any], *args: Any, **values: Any) -> Any:
        """Make one call."""
        self.calls += 1
        return function(*args, client=self.client, **values)

    def check_reads(self) -> None:
        """Read lists, one invoice, stats and growth."""
        facts = self.facts
        invoices = self.call(invoices_list.sync, page_size=300)
        assert [str(invoice.uuid) for invoice in invoices] == facts["uuids"], invoices
        pending = invoices[facts["uuids"].index(facts["pending"])]
        assert isinstance(pending.due_date, Unset), pending.due_date
        assert pending.state is InvoiceStateEnum.PENDING
        everything = self.call(invoices_list.sync_all)
        assert [str(invoice.uuid) for invoice in everything] == facts["uuids"]
        assert self.call(invoices_count.sync) == len(facts["uuids"])
        some = self.call(
            invoices_list.sync,
            field=[Field.UUID, Field.STATE],
            state=[State.CREATED],
            o=[Order.VALUE_1, Order.VALUE_0],
            customer_uuid=UUID(facts["customer"]),
        )
        assert some
        assert all(isinstance(invoice.number, Unset) for invoice in some)
        detailed = self.call(invoices_list.sync_detailed, page_size=1)
        assert detailed.headers["x-result-count"] == str(len(facts["uuids"]))

        invoice = self.call(invoices_retrieve.sync, UUID(facts["created"]))
        assert invoice.number == facts["number"]
        assert invoice.total == facts["total"]
        assert len(invoice.items) == facts["items"]
        assert invoice.customer_details.name == facts["customer_name"]
        stats = self.call(invoices_stats_list.sync, UUID(facts["created"]))
        assert [row.offering_name for row in stats] == facts["offerings"]
        assert self.call(invoices_stats_list.sync_all, UUID(facts["created"])) == stats
        growth = self.call(invoices_growth_retrieve.sync)
        assert len(growth.periods) == len(growth.total_periods) == 13
        heads = self.call(invoices_growth_count.sync)
        assert heads == len(growth.customer_periods)
        # The client expects one item, but the response is a list of items.
        try:
            self.call(invoices_items_retrieve.sync, UUID(facts["created"]))
        except (TypeError, ValueError, AttributeError):
            pass
        else:
            raise AssertionError("the client parsed a list of items as one item")

    def check_actions(self) -> None:
        """Set the three texts, send a notification, and pay with each media type."""
        created = UUID(self.facts["created"])
        self.call(
            invoices_set_backend_id.sync_detailed, created, body=BackendIdRequest(backend_id="b-1")
        )
        self.call(
            invoices_set_payment_url.sync_detailed,
            created,
            body=PaymentURLRequest(payment_url="https://pay.example.com/1"),
        )
        self.call(
            invoices_set_reference_number.sync_detailed,
            created,
            body=ReferenceNumberRequest(reference_number="õ-1"),
        )
        invoice = self.call(invoices_retrieve.sync, created)
        assert (invoice.backend_id, invoice.payment_url, invoice.reference_number) == (
            "b-1",
            "https://pay.example.com/1",
            "õ-1",
        )
        answer = self.call(invoices_send_notification.sync_detailed, created)
        assert answer.status_code == 200
        bodies = [
            PaidRequest(date=DAY),
            PaidRequestForm(date=DAY),
            PaidRequestMultipart(
                date=DAY,
                proof=File(io.BytesIO(PDF), file_name="proof.pdf", mime_type="application/pdf"),
            ),
        ]
        for uuid, body in zip(self.facts["payable"], bodies, strict=True):
            answer = self.call(invoices_paid.sync_detailed, UUID(uuid), body=body)
            assert answer.status_code == 200, answer
            paid = self.call(invoices_retrieve.sync, UUID(uuid))
            assert paid.state is InvoiceStateEnum.PAID

    def check_history(self) -> None:
        """Read the history of the changes, which the client supports since version 8."""
        try:
            listing = import_module("waldur_api_client.api.invoices.invoices_history_list")
            version_at = import_module(
                "waldur_api_client.api.invoices.invoices_history_at_retrieve"
            )
        except ModuleNotFoundError:
            return
        created = UUID(self.facts["created"])
        versions = self.call(listing.sync, created)
        assert [version.revision_comment for version in versions] == [
            "Reference number set.",
            "Payment URL set.",
            "Backend ID set.",
        ]
        assert versions[0].revision_user["uuid"]
        assert versions[0].serialized_data["reference_number"] == "õ-1"
        assert self.call(listing.sync_all, created) == versions
        timestamp = versions[1].revision_date.isoformat()
        then = self.call(version_at.sync, created, timestamp=timestamp)
        assert then.id == versions[1].id
        assert then.serialized_data["reference_number"] == ""

    async def check_coroutines(self) -> None:
        """Make the same reads as coroutines."""
        facts = self.facts
        async with self.client as client:
            everything = await invoices_list.asyncio_all(client=client)
            assert [str(invoice.uuid) for invoice in everything] == facts["uuids"]
            invoices = await asyncio.gather(
                *(invoices_retrieve.asyncio(UUID(uuid), client=client) for uuid in facts["uuids"])
            )
            assert [str(invoice.uuid) for invoice in invoices] == facts["uuids"]
            assert await invoices_stats_list.asyncio(UUID(facts["created"]), client=client)
            assert await invoices_growth_retrieve.asyncio(client=client)
            assert await invoices_count.asyncio(client=client) == len(facts["uuids"])
        self.calls += 4 + len(facts["uuids"])


def check_refusals(session: Session) -> None:
    """The owner of another customer is refused with the exceptions of the client."""
    for function, status in ((invoices_retrieve.sync, 404), (invoices_paid.sync_detailed, 403)):
        values = {"body": PaidRequest(date=DAY)} if status == 403 else {}
        status_code = None
        try:
            session.call(function, UUID(session.facts["created"]), **values)
        except UnexpectedStatus as error:
            status_code = error.status_code
        assert status_code == status, (function, status_code)


def main() -> None:
    """Make every call, and print their number."""
    base_url, staff_key, stranger_key, facts = sys.argv[1:]
    staff = Session(AuthenticatedClient(base_url=base_url, token=staff_key), json.loads(facts))
    staff.check_reads()
    staff.check_actions()
    staff.check_history()
    asyncio.run(staff.check_coroutines())
    stranger = Session(
        AuthenticatedClient(base_url=base_url, token=stranger_key), json.loads(facts)
    )
    check_refusals(stranger)
    sys.stdout.write(f"{staff.calls + stranger.calls} calls\n")


if __name__ == "__main__":
    main()
