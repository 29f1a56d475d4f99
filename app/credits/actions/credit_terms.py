"""The terms that staff may give to a credit, of a customer or of a project."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from app.billing.compensation import BALANCE_UNIT, CreditTerms, linear_share
from app.billing.enums import MinimalConsumptionLogic
from app.billing.money import EXACT, quantize
from app.billing.periods import Period
from app.domain_errors import InvalidField

NEW: Final = CreditTerms(Decimal(0))
_NON_FIELD: Final = "non_field_errors"
_NAMES: Final = {
    "value": "value",
    "end_date": "end_date",
    "expected_consumption": "expected_consumption",
    "minimal_consumption_logic": "logic",
    "grace_coefficient": "grace_percent",
    "apply_as_minimal_consumption": "has_minimum",
}
"""The attributes of `CreditTerms` by the fields of a request."""


def change_terms(terms: CreditTerms, values: Mapping[str, Any], today: date) -> CreditTerms:
    """Return terms with new values; raises `InvalidField` if a rule forbids them.

    An expected consumption that is not given follows the balance and the end of a linear credit.
    """
    given = {name: values[field] for field, name in _NAMES.items() if field in values}
    changed = replace(terms, **given)
    if changed.end_date != terms.end_date:
        _check_end_date(changed.end_date, today)
    if changed.logic is MinimalConsumptionLogic.LINEAR and changed != terms:
        changed = _spread(changed, today, is_given="expected_consumption" in given)
    if changed.expected_consumption and changed.expected_consumption >= changed.value:
        if {"value", "expected_consumption"}.isdisjoint(given):
            return changed
        raise InvalidField(_NON_FIELD, "Expected consumption must be smaller than the credit.")
    return changed


def _check_end_date(end_date: date | None, today: date) -> None:
    if end_date is None:
        return
    if end_date <= today:
        raise InvalidField("end_date", "The end date must be greater than today's date.")
    if end_date.day != 1:
        raise InvalidField("end_date", "The end date must be the first day of a month.")


def _spread(terms: CreditTerms, today: date, *, is_given: bool) -> CreditTerms:
    """Return linear terms with the month's share of the balance, unless the share is given."""
    running = Period.containing(today)
    if terms.end_date is None:
        raise InvalidField(
            _NON_FIELD, "End date is required if minimal consumption logic is linear."
        )
    if Period.containing(terms.end_date) <= running:
        raise InvalidField(
            _NON_FIELD, "End date must be greater if minimal consumption logic is linear."
        )
    if is_given:
        return terms
    share = EXACT.multiply(terms.value, linear_share(terms.end_date, running))
    # Below the balance, as every expected consumption is.
    expected = min(share, max(Decimal(0), terms.value - BALANCE_UNIT))
    return replace(terms, expected_consumption=quantize(expected, BALANCE_UNIT, "ROUND_DOWN"))


def stored_values(terms: CreditTerms) -> dict[str, Any]:
    """Return the columns of terms, without the balance, which moves through the ledger."""
    return {field: getattr(terms, name) for field, name in _NAMES.items() if field != "value"}
