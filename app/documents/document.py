"""The frozen values of an issued invoice or a credit note, from which all its documents are made.

The repository of the invoices stores them as JSON, once, at the issue. Amounts are JSON strings of
digits without an exponent. Lines are stored in batches, so that documents of any length can be
written in bounded memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import TypeAdapter

from app.billing.enums import BillingUnit


class DocumentKind(StrEnum):
    """What a document is: a demand for payment, or the correction of one."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The seller or the buyer. A value that was not known at the issue is an empty text."""

    name: str = ""
    vat_code: str = ""
    registration_code: str = ""
    registration_scheme: str = ""
    """Four digits of the ICD list of ISO 6523."""
    endpoint: str = ""
    """The electronic address of the party."""
    endpoint_scheme: str = ""
    """A code of the EAS list, such as 9931."""
    address: str = ""
    """Street lines, separated by line ends."""
    city: str = ""
    postal: str = ""
    country: str = ""
    """A two-letter code of ISO 3166, in any case."""
    contact_name: str = ""
    phone_number: str = ""
    email: str = ""
    bank_name: str = ""
    bank_account: str = ""
    bic: str = ""
    """Of the seller only, like the next two."""
    account_holder: str = ""
    tax_number: str = ""
    """The tax number of a seller without a VAT number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecedingInvoice:
    """The invoice that a credit note corrects."""

    number: int
    issue_date: date
    is_paid: bool = False
    """Whether the invoice was paid before, so that the sum is owed to the customer."""


CREDIT_NOTE_PREFIX: Final = "CN-"
"""Begins the printed number of a credit note."""


def print_credit_note_number(number: int) -> str:
    """Return the number of a credit note as documents show it. Credit notes have an own counter."""
    return f"{CREDIT_NOTE_PREFIX}{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenDocument:
    """An issued document without its lines. Amounts are in `currency`."""

    kind: DocumentKind
    uuid: UUID
    number: int
    issue_date: date
    due_date: date | None = None
    year: int
    month: int
    period_start: date
    """The first day of the month, or the earliest start of a line with a price."""
    period_end: date
    """The last day of the month, or the latest end of a line with a price."""
    currency: str
    """A code of ISO 4217."""
    language: str = ""
    """A language tag."""
    tax_percent: Decimal
    """20 stands for 20 %."""
    tax_category: str = ""
    """A code of UNTDID 5305, or empty: S where the percentage is above zero, else unknown."""
    tax_exemption_code: str = ""
    tax_exemption_reason: str = ""
    buyer_reference: str = ""
    order_reference: str = ""
    agreement_number: str = ""
    note: str = ""
    preceding: PrecedingInvoice | None = None
    """Of a credit note only, like the reason."""
    reason: str = ""
    payment_url: str = ""
    reference_number: str = ""
    net: Decimal
    """The sum of the lines' prices, without tax."""
    gross: Decimal
    """The total with tax, rounded once."""
    compensations: Decimal = Decimal(0)
    """The part of `net` from compensations; usually zero or negative."""
    provider_tax: Decimal | None = None
    """The part of `net` that is tax charged by the provider; None without such lines."""
    items: int
    """The number of lines with a price other than zero."""
    hidden_items: int = 0
    """The number of lines with a price of zero, which documents leave out."""
    hidden_cost: Decimal = Decimal(0)
    """The exact sum of unit price times quantity of the hidden lines."""
    seller: Party
    buyer: Party

    @property
    def printed_number(self) -> str:
        """The number as documents show it."""
        is_credit_note = self.kind is DocumentKind.CREDIT_NOTE
        return print_credit_note_number(self.number) if is_credit_note else str(self.number)

    @property
    def tax(self) -> Decimal:
        """The tax on the whole document; it and `net` add up to `gross`."""
        return self.gross - self.net


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One line of an issued document, with its names at the issue."""

    uuid: UUID
    name: str
    unit_price: Decimal
    quantity: Decimal
    price: Decimal
    """Without tax, in the decimals of the currency; negative for a compensation."""
    unit: BillingUnit
    measured_unit: str = ""
    article_code: str = ""
    start: datetime
    end: datetime
    project_name: str | None = None
    project_uuid: UUID | None = None
    resource_name: str | None = None
    resource_uuid: UUID | None = None
    offering_name: str | None = None
    plan_name: str | None = None
    credit: bool = False
    """Whether the line is a compensation."""
    is_provider_tax: bool = False
    """Whether the line is tax charged by the provider, such as a tax row of a FOCUS bill."""


_DOCUMENT = TypeAdapter(FrozenDocument)
_LINES = TypeAdapter(list[DocumentLine])


def parse_document(content: str | bytes) -> FrozenDocument:
    """Read frozen values from JSON; keys that documents do not need are ignored."""
    return _DOCUMENT.validate_json(content)


def parse_lines(content: str | bytes) -> Sequence[DocumentLine]:
    """Read a JSON array of lines; keys that documents do not need are ignored."""
    return _LINES.validate_json(content)
