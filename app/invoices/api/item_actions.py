"""The operations with which staff change items, and import usage."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from app.api.operation_docs import (
    document_action,
    document_body,
    document_destroy,
    document_update,
)
from app.billing.periods import Period
from app.database.engine import Connection
from app.database.lists import Row
from app.idempotency.api.submission import Submission, resource_of, submission_on, submission_to
from app.identity.caller import Caller
from app.invoices.actions import change_item as actions
from app.invoices.actions.import_usage import ImportUsage, UsageLine, import_usage
from app.invoices.api.item_bodies import (
    ImportUsageError,
    ImportUsageItemRequest,
    ImportUsageRequest,
    ImportUsageResponse,
    InvoiceItemCompensationRequest,
    InvoiceItemMigrateToRequest,
    InvoiceItemUpdate,
    InvoiceItemUpdateRequest,
    InvoiceItemUUID,
    PatchedInvoiceItemUpdateRequest,
)
from app.invoices.api.items import collection
from app.invoices.repository.items import lock_item

router = APIRouter(prefix="/api/invoice-items", tags=["invoice-items"])
usage_router = APIRouter(prefix="/api/invoices", tags=["invoices"])

_ITEMS: Final = resource_of(collection, "invoice item", lock_item)


async def _find_changeable(connection: Connection, caller: Caller, uuid: str) -> Row:
    row = await collection.find(connection, caller, uuid)
    await actions.require_changeable(connection, row["uuid"])
    return row


Changed = Annotated[Submission[Row], Depends(submission_on(_ITEMS, _find_changeable))]
Compensated = Annotated[Submission[Row], Depends(submission_on(_ITEMS, collection.find))]
Imported = Annotated[Submission[None], Depends(submission_to(_ITEMS))]


async def _change(submission: Changed, model: type[InvoiceItemUpdateRequest]) -> Response:
    currency = submission.request.app.state.settings.currency

    async def change(connection: Connection, body: InvoiceItemUpdateRequest) -> InvoiceItemUpdate:
        command = actions.ChangeItem(submission.record["uuid"], **body.values())
        item = await actions.change_item(connection, command, currency)
        return InvoiceItemUpdate(
            article_code=item.article_code,
            quantity=item.quantity,
            unit_price=item.unit_price,
            start=item.start,
            end=item.end,
        )

    return await submission.act(model, change)


@router.put(
    "/{uuid}/",
    operation_id="invoice_items_update",
    summary="Update invoice item",
    response_model=InvoiceItemUpdate,
    **document_update("invoice item", document_body(InvoiceItemUpdateRequest)),
)
async def update_item(submission: Changed) -> Response:
    """Change an item of an invoice that is not issued.

    The start and end of a fixed component determine its quantity. Other components have a quantity
    and keep their start and end.
    """
    return await _change(submission, InvoiceItemUpdateRequest)


@router.patch(
    "/{uuid}/",
    operation_id="invoice_items_partial_update",
    summary="Update some fields of an invoice item",
    response_model=InvoiceItemUpdate,
    **document_update("invoice item", document_body(PatchedInvoiceItemUpdateRequest)),
)
async def update_item_partially(submission: Changed) -> Response:
    """Change fields of an item of an invoice that is not issued."""
    return await _change(submission, PatchedInvoiceItemUpdateRequest)


@router.delete(
    "/{uuid}/",
    operation_id="invoice_items_destroy",
    summary="Delete invoice item",
    **document_destroy(),
)
async def delete_item(submission: Changed) -> Response:
    """Delete an item of an invoice that is not issued."""

    async def delete(connection: Connection) -> None:
        await actions.delete_item(connection, submission.record["uuid"])

    return await submission.destroy(delete)


@router.post(
    "/{uuid}/create_compensation/",
    operation_id="invoice_items_create_compensation",
    summary="Create compensation for invoice item",
    response_model=InvoiceItemUUID,
    **document_action(
        "The compensation", document_body(InvoiceItemCompensationRequest), conditional=True,
        status=201,
    ),
)  # fmt: skip
async def create_compensation(submission: Compensated) -> Response:
    """Add the opposite of an item to the customer's invoice of the running month.

    The item may be on an invoice of any state. Each request adds another compensation.
    """

    async def compensate(
        connection: Connection, body: InvoiceItemCompensationRequest
    ) -> InvoiceItemUUID:
        uuid = submission.record["uuid"]
        command = actions.CompensateItem(uuid, body.offering_component_name)
        added = await actions.compensate_item(connection, command)
        return InvoiceItemUUID(invoice_item_uuid=added.item, invoice=added.invoice)

    return await submission.act(InvoiceItemCompensationRequest, compensate, status=201)


@router.post(
    "/{uuid}/migrate_to/",
    operation_id="invoice_items_migrate_to",
    summary="Move invoice item to another invoice",
    response_model=InvoiceItemUUID,
    **document_action(
        "The item was moved", document_body(InvoiceItemMigrateToRequest), conditional=True
    ),
)
async def migrate_to(submission: Changed) -> Response:
    """Move an item to another invoice of the same customer. Neither of them may be issued."""

    async def move(connection: Connection, body: InvoiceItemMigrateToRequest) -> InvoiceItemUUID:
        uuid = submission.record["uuid"]
        await actions.move_item(connection, actions.MoveItem(uuid, body.invoice))
        return InvoiceItemUUID(invoice_item_uuid=uuid, invoice=body.invoice)

    return await submission.act(
        InvoiceItemMigrateToRequest,
        move,
        lock=lambda connection, body: lock_item(
            connection, submission.record["uuid"], also=[body.invoice]
        ),
    )


@usage_router.post(
    "/import_usage/",
    operation_id="invoices_import_usage",
    summary="Import usage",
    response_model=ImportUsageResponse,
    **document_action("The result of the import", document_body(ImportUsageRequest)),
)
async def post_usage(submission: Imported) -> Response:
    """Add charges to the invoices of customers for one month, which are opened if they are missing.

    A charge whose name and article code its invoice had before is skipped, so that a request may be
    repeated. A charge that cannot be imported is among the errors, and the others are imported.
    """
    currency = submission.request.app.state.settings.currency

    async def add(connection: Connection, body: ImportUsageRequest) -> ImportUsageResponse:
        lines = [_line(item) for item in body.items]
        command = ImportUsage(Period(body.year, body.month), lines)
        result = await import_usage(connection, command, currency)
        errors = [
            ImportUsageError(customer_name=each.customer_name, reason=each.reason)
            for each in result.errors
        ]
        return ImportUsageResponse(created=result.created, skipped=result.skipped, errors=errors)

    return await submission.act(ImportUsageRequest, add)


def _line(item: ImportUsageItemRequest) -> UsageLine:
    details = {
        "service_provider_name": item.service_provider_name,
        "offering_name": item.offering_name,
        "plan_name": item.plan_name,
    }
    return UsageLine(
        name=item.name,
        unit_price=item.unit_price,
        customer_name=item.customer_name,
        customer_uuid=item.customer_uuid,
        article_code=item.article_code,
        details=details,
    )
