"""The sums of a printed document, and the sentence on payment that follows from them."""

from decimal import Decimal

from app.documents.document import DocumentKind, FrozenDocument
from app.documents.formats import Formats
from app.documents.texts import Texts


def asks_for_payment(document: FrozenDocument) -> bool:
    """Return whether the buyer has to pay something."""
    return document.kind is DocumentKind.INVOICE and document.gross > 0


def has_tax_columns(document: FrozenDocument) -> bool:
    """Return whether lines show their tax; not if all tax is charged by the provider."""
    return document.provider_tax is None or document.tax_percent != 0


def print_sums(document: FrozenDocument, texts: Texts, formats: Formats) -> list[tuple[str, str]]:
    """Return the labels and amounts that lead to the total.

    With tax charged by the provider, no amount is labelled as total without tax.
    """
    _ = texts.gettext
    sums: list[tuple[str, Decimal]] = []
    provider_tax = document.provider_tax
    if document.compensations or provider_tax is not None:
        charges = document.net - document.compensations - (provider_tax or 0)
        sums.append((_("Charges"), charges))
    if document.compensations:
        sums.append((_("Compensations"), document.compensations))
    if provider_tax is None:
        sums.append((_("Total without tax"), document.net))
    else:
        sums.append((_("Tax charged by the provider"), provider_tax))
    if has_tax_columns(document):
        tax = _("Tax, {percent}").format(percent=formats.percent(document.tax_percent))
        sums.append((tax, document.tax))
    return [(label, formats.money(amount)) for label, amount in sums]


def print_credit(document: FrozenDocument, texts: Texts) -> str:
    """Return the sentence on the amount of a credit note.

    It is below zero where the invoice was in the buyer's favour.
    """
    _ = texts.gettext
    if not document.gross:
        return _("Nothing is to be paid.")
    is_paid = document.preceding is not None and document.preceding.is_paid
    if document.gross < 0:
        if is_paid:
            return _("The invoice was already settled. You owe the amount.")
        return _("The sum in your favour falls by the amount. Nothing is to be paid.")
    if is_paid:
        return _("The invoice was already paid. The amount is owed to you.")
    return _("The amount is credited to you. Nothing is to be paid.")
