"""Maps Waldur's credits, their ledger and affiliates to records.

The functions raise ValueError, with the reason, for a row that cannot be mapped completely.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from app.billing.periods import Period
from app.dataio.records.credits import (
    CreditTransactionRecord,
    CustomerAffiliateRecord,
    CustomerCreditRecord,
    ProjectCreditRecord,
)
from app.dataio.waldur.mapping import (
    NAMESPACE,
    Row,
    map_record,
    parse_optional_uuid,
)

_LAST_MONTH = Period(9999, 12)


def credit_end(day: date | None) -> date | None:
    """Return the first day on which a credit is worth nothing: the first day of a month.

    Older releases have other days, too. Newer ones move these to the next month, as done here.
    """
    if day is None or day.day == 1 or Period.containing(day) == _LAST_MONTH:
        return day
    return Period.containing(day).shifted(1).first_day


def balance(value: Decimal) -> Decimal:
    """Return the value of a credit. One below zero pays nothing, and is zero here."""
    return max(value, Decimal(0)) if value.is_finite() else value


def map_customer_credit(row: Row, offerings: Sequence[UUID]) -> CustomerCreditRecord:
    """Map a customer's credit. Older releases call the expected consumption the minimal one."""
    expected = row["expected_consumption"]
    return map_record(
        CustomerCreditRecord,
        row,
        **_common_values(row),
        expected_consumption=row["minimal_consumption"] if expected is None else expected,
        offerings=tuple(offerings),
    )


def map_project_credit(row: Row) -> ProjectCreditRecord:
    """Map a project's share of the customer's credit."""
    return map_record(ProjectCreditRecord, row, **_common_values(row))


def _common_values(row: Row) -> dict[str, Any]:
    if row["value"] is None:
        raise ValueError("it has no value")
    return {"value": balance(row["value"]), "end_date": credit_end(row["end_date"])}


def map_transaction(row: Row) -> CreditTransactionRecord:
    """Map a movement of the ledger."""
    period: date | None = row["billing_period"]
    project = parse_optional_uuid(row["project_uuid"] or None)
    return map_record(
        CreditTransactionRecord,
        row,
        customer_uuid=parse_optional_uuid(row["customer"]),
        customer_credit_uuid=parse_optional_uuid(row["customer_credit"]),
        project_credit_uuid=parse_optional_uuid(row["project_credit"]),
        project_uuid=project or parse_optional_uuid(row["project"]),
        billing_period=period and period.replace(day=1),
        invoice_uuid=parse_optional_uuid(row["invoice"]),
    )


def explanation_uuid(credit_uuid: UUID, number: int) -> UUID:
    """Return the UUID of the movement by which an import explains a balance, by its number."""
    return uuid5(NAMESPACE, f"balance:{credit_uuid}:{number}")


def map_affiliate(row: Row) -> CustomerAffiliateRecord:
    """Map an affiliate. Of several active ones of a customer only the newest is active here."""
    is_active = bool(row["is_active"] and row["is_newest"])
    return map_record(CustomerAffiliateRecord, row, is_active=is_active)
