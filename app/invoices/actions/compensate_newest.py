"""Apply or clear the compensations of the newest invoice that a credit may pay."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.currencies import Currency
from app.credits.actions.change_customer_credit import lock_customer_credit
from app.credits.repository import records
from app.invoices.actions.apply_compensations import (
    ApplyCompensations,
    ChangedCompensations,
    ClearCompensations,
    apply_compensations,
    clear_compensations,
)
from app.invoices.repository import compensations


@dataclass(frozen=True, slots=True)
class CompensateNewest:
    """Apply or clear the compensations of the newest invoice that a credit may pay."""

    uuid: UUID


async def apply_to_newest(
    connection: AsyncConnection, command: CompensateNewest, currency: Currency
) -> ChangedCompensations:
    """Apply the credit to the newest invoice that is not issued; without one, nothing happens.

    Raises `CreditNotFound`.
    """
    invoice_id = await _newest(connection, command)
    if invoice_id is None:
        return ChangedCompensations(False)
    return await apply_compensations(connection, ApplyCompensations(invoice_id), currency)


async def clear_newest(
    connection: AsyncConnection, command: CompensateNewest
) -> ChangedCompensations:
    """Clear the compensations of the newest invoice that is not issued, if there is one.

    Raises `CreditNotFound`.
    """
    invoice_id = await _newest(connection, command)
    if invoice_id is None:
        return ChangedCompensations(False)
    return await clear_compensations(connection, ClearCompensations(invoice_id))


async def _newest(connection: AsyncConnection, command: CompensateNewest) -> int | None:
    await lock_customer_credit(connection, command.uuid)
    customer_id = await records.find_owner(connection, command.uuid)
    if customer_id is None:
        return None
    return next(iter(await compensations.find_pending(connection, customer_id)), None)
