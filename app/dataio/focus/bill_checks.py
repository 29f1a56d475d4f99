"""Checks a bill's currency and taxes before anything is stored."""

from app.billing.currencies import get_currency
from app.dataio.focus.charge_groups import Bill
from app.dataio.focus.errors import FocusImportError
from app.dataio.focus.import_report import count_noun, print_exact


def check_currency(bill: Bill, deployment: str, chosen: str | None) -> list[str]:
    """Return warnings about the currency of a bill; raises FocusImportError if it is wrong.

    The bill must be in the deployment's currency, or have charges in the chosen one.
    """
    if not bill.currencies:
        return ["The file has no charges."]
    found = ", ".join(
        f"{name} ({count_noun(count, 'charge')})" for name, count in bill.currencies.items()
    )
    if chosen is None:
        if set(bill.currencies) != {deployment}:
            raise FocusImportError(
                f"The invoices of this service are in {deployment}; the file is in {found}.",
                "Choose the charges to import with --currency.",
            )
        return []
    if chosen not in bill.currencies:
        raise FocusImportError(f"The file has no charges in {chosen}; it is in {found}.")
    if chosen == deployment:
        return []
    _require_equal_decimals(chosen, deployment)
    return [
        f"The amounts are in {chosen} and were not converted; "
        f"this service shows them as {deployment}."
    ]


def _require_equal_decimals(chosen: str, deployment: str) -> None:
    """Raise FocusImportError if amounts would change in the currency of the deployment."""
    try:
        decimals = get_currency(chosen).decimals
    except ValueError as error:
        raise FocusImportError(f"{error}.") from error
    own_decimals = get_currency(deployment).decimals
    if decimals != own_decimals:
        raise FocusImportError(
            f"{chosen} has {decimals} decimals, and {deployment}, the currency of this service's"
            f" invoices, has {own_decimals}: the amounts cannot be imported without a conversion."
        )


def reject_tax_rows(bill: Bill, currency: str) -> None:
    """Raise FocusImportError if the bill has taxes, which the invoices' tax would tax again."""
    if bill.tax_rows:
        raise FocusImportError(
            f"The file has taxes of the provider: {count_noun(bill.tax_rows, 'row')} of the "
            f"category Tax, {print_exact(bill.tax)} {currency} in total. --tax would tax them "
            "again.",
            "--drop-tax-rows skips them. Without --tax they are imported as items, and their "
            "invoices have no other tax.",
        )
