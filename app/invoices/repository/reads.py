"""Reads of the invoices that a caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    RowMapping,
    ScalarSelect,
    any_,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.customers.models import Customer
from app.database.engine import DirectSelect
from app.database.filter_set import FilterSet
from app.database.lists import ROW_UUID, Join, RowList, select_one, select_rows
from app.database.statements import AnySelect
from app.formats import parse_uuid
from app.identity.access import Scope, visibility_of, visible_customers
from app.identity.caller import Caller
from app.invoices.errors import InvoiceNotFound
from app.invoices.filter_set import CONDITIONS, RUNNING, SUMMARY_CONDITIONS, WAITING
from app.invoices.models import (
    Invoice,
    InvoiceDocument,
    InvoiceSummary,
    LinesRepresentation,
)
from app.invoices.repository.columns import (
    COLUMNS,
    IDENTITY,
    LIVE_FIELDS,
    STORED_HEAD,
    STORED_LINES,
    VERSION,
)
from app.invoices.repository.item_sources import is_present_document
from app.invoices.repository.representations import FORM, is_first_part

_STATEMENTS: Final = 512
"""Statements that are cached."""


class Version(NamedTuple):
    """One state of everything that a document shows of an invoice.

    Equal versions have equal documents.
    """

    invoice_id: int
    revision: int
    document_version: int | None
    """None if the invoice is not frozen."""
    references: int
    """The `ReferenceRevision` at that time. A frozen invoice shows no other records: its number
    changes only when a backup is restored."""


version_columns: Final = itemgetter("id", "revision", "document_version", "references")
"""Returns the values of a `Version` from a row with the columns of the field `VERSION`."""


@dataclass(frozen=True, slots=True)
class FoundInvoice:
    """An invoice that the caller may see, with the columns that operations on it need."""

    id: int
    """The key of its row."""
    uuid: UUID
    version: Version
    customer_id: int
    state: InvoiceState
    tax_percent: Decimal

    @property
    def is_frozen(self) -> bool:
        """Whether the invoice has a document, which everything shows."""
        return self.version.document_version is not None


VersionedRow = tuple[Version, RowMapping]
"""An invoice's version, and the columns of the fields that were asked for."""


async def find_visible_invoice(
    connection: AsyncConnection, *, caller: Caller, uuid: str, filters: FilterSet
) -> FoundInvoice:
    """Return one invoice.

    Raises InvoiceNotFound if it does not exist, the caller may not see it, or a filter excludes it.
    """
    version, row = await read_invoice(
        connection, caller=caller, uuid=uuid, filters=filters, fields=(VERSION, IDENTITY)
    )
    return FoundInvoice(
        row["id"],
        row["uuid"],
        version,
        row["customer_id"],
        InvoiceState(row["state"]),
        row["tax_percent"],
    )


async def read_invoice(
    connection: AsyncConnection,
    *,
    caller: Caller,
    uuid: str,
    filters: FilterSet,
    fields: tuple[str, ...],
) -> VersionedRow:
    """Return one invoice with the columns of the fields, among them `VERSION`.

    Raises as `find_visible_invoice` does.
    """
    parsed = parse_uuid(uuid)
    if parsed is None:
        raise InvoiceNotFound
    scope, parameters = visibility_of(caller)
    statement = select_one(INVOICES, scope, filters.names, fields)
    values = {**filters.values, **parameters, ROW_UUID: parsed}
    row = next(iter(await statement.fetch(connection, values)), None)
    if row is None:
        raise InvoiceNotFound
    return Version._make(version_columns(row)), row


async def read_heads(
    connection: AsyncConnection, invoices: Sequence[int], fields: Sequence[str], form: str
) -> dict[int, RowMapping]:
    """Return the columns of the fields of invoices, by the invoices' keys.

    Of their items, they have the first part of the representation of this form.
    """
    values = {"invoices": list(invoices), FORM: form}
    statement = _heads((VERSION, STORED_LINES, "tax", *fields))
    result = await connection.execute(statement, values)
    return {row["id"]: row for row in result.mappings()}


async def read_stored(
    connection: AsyncConnection, invoices: Sequence[int], form: str
) -> dict[int, RowMapping]:
    """Return the stored representations of this form, of those invoices that have one, by key.

    A row has the columns of the fields `VERSION`, `STORED_HEAD`, `STORED_LINES` and `LIVE_FIELDS`.
    """
    rows = await _STORED.fetch(connection, {"invoices": list(invoices), FORM: form})
    return {row["id"]: row for row in rows}


async def read_head(
    connection: AsyncConnection, invoice_id: int, fields: Sequence[str]
) -> RowMapping:
    """Return the columns of the fields of an invoice."""
    statement = _heads((VERSION, "tax", *fields))
    return (await connection.execute(statement, {"invoices": [invoice_id]})).mappings().one()


async def read_version(connection: AsyncConnection, invoice_id: int) -> Version:
    """Return the version of an existing invoice, without a check of access."""
    statement = select(*COLUMNS[VERSION]).where(Invoice.id == invoice_id)
    return Version._make((await connection.execute(statement)).one())


@lru_cache(_STATEMENTS)
def _heads(fields: tuple[str, ...]) -> AnySelect:
    invoices = bindparam("invoices", type_=ARRAY(BigInteger))
    return select_rows(INVOICES, fields, Invoice.id == any_(invoices))


def _known_count(scope: Scope, names: tuple[str, ...]) -> ScalarSelect[int] | None:
    """Return the number of invoices by the summaries.

    None if they lack it, which is so for filters that may match few invoices.
    """
    if scope is not Scope.EVERYTHING or not {*SUMMARY_CONDITIONS, RUNNING} >= {*names}:
        return None
    number: ColumnElement[int] = func.coalesce(
        func.sum(InvoiceSummary.invoices), literal_column("0")
    )
    if RUNNING in names:
        # Few customers wait for their accounting to start.
        waiting = [CONDITIONS[WAITING if name == RUNNING else name] for name in names]
        others = select(func.count()).select_from(Invoice).where(*waiting)
        number = number - others.scalar_subquery()
    matching = [SUMMARY_CONDITIONS[name] for name in names if name in SUMMARY_CONDITIONS]
    return select(cast(number, BigInteger)).where(*matching).scalar_subquery()


INVOICES: Final[RowList[Scope]] = RowList(
    table=Invoice,
    uuid=Invoice.uuid,
    columns=COLUMNS,
    joins=(
        Join(Customer, Customer.id == Invoice.customer_id),
        Join(InvoiceDocument, is_present_document, optional=True),
        Join(LinesRepresentation, is_first_part, optional=True),
    ),
    conditions=CONDITIONS,
    orders={
        "created": Invoice.created,
        "month": Invoice.month,
        "number": Invoice.number,
        "year": Invoice.year,
    },
    default_order=("-year", "-month", "-number"),
    visible=lambda scope: visible_customers(Invoice.customer_id, scope),
    known_count=_known_count,
)
"""The invoices, newest period first."""
_STORED: Final = DirectSelect(
    _heads((VERSION, STORED_HEAD, STORED_LINES, *LIVE_FIELDS)).where(
        LinesRepresentation.head.is_not(None)
    )
)
