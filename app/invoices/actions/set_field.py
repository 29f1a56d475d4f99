"""Set a text that staff keep beside an invoice."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from app.invoices.repository import writes


@dataclass(frozen=True, slots=True)
class SetField:
    """Set one of `writes.EDITABLE_TEXTS`, in any state of the invoice."""

    invoice_id: int
    field: str
    value: str


async def set_field(connection: AsyncConnection, command: SetField) -> None:
    """Set the text; an equal value writes nothing."""
    await writes.set_text(connection, command.invoice_id, command.field, command.value)
