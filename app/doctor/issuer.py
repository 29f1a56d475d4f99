"""The check of the issuer's details: those that documents need, by profile."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from app.billing.bank_accounts import is_qr_iban, looks_like_iban, parse_iban
from app.billing.enums import BillingUnit
from app.billing.money import round_half_up, with_tax
from app.doctor.check_result import CheckResult, warning, well
from app.documents.document import DocumentKind, DocumentLine, FrozenDocument, Party
from app.documents.problems import Problem, Subject
from app.documents.profiles import PEPPOL, UBL_EN16931, UBL_XRECHNUNG, Profile
from app.documents.requirements import find_problems
from app.invoices.actions.freeze import issuer_of
from app.settings import Settings

_PROFILES: Final = (UBL_EN16931, PEPPOL, UBL_XRECHNUNG)
_ADVICE: Final = (
    "Add them to ISSUER_DETAILS, if you send such invoices: docs/operating.md, The issuer."
)
_DAY: Final = date(2026, 1, 1)
_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LINE: Final = DocumentLine(
    uuid=UUID(int=1),
    name="Service",
    unit_price=Decimal(100),
    quantity=Decimal(1),
    price=Decimal(100),
    unit=BillingUnit.QUANTITY,
    start=_TIME,
    end=_TIME,
)


async def issuer(settings: Settings) -> AsyncIterator[CheckResult]:
    """Yield a result for each profile that lacks details of the issuer, and for its account."""
    lacking = 0
    for profile in _PROFILES:
        problems = _find_problems(settings, profile)
        if problems:
            lacking += 1
            listed = "; ".join(f"{each.term} {each.message.rstrip('.')}" for each in problems)
            yield warning(f"no e-invoice can be written as {profile.name}: {listed}", _ADVICE)
    account = settings.issuer_details.bank_account
    iban = parse_iban(account)
    if iban is None and looks_like_iban(account):
        lacking += 1
        yield warning(
            "the bank_account of ISSUER_DETAILS has wrong check digits or a wrong length",
            "Correct it: documents have no payment code without a valid IBAN.",
        )
    elif iban and is_qr_iban(iban):
        lacking += 1
        yield warning(
            "the bank_account of ISSUER_DETAILS is a QR-IBAN, so documents have no Swiss QR-bill",
            "Set the ordinary IBAN of the account.",
        )
    if not lacking:
        names = ", ".join(profile.name for profile in _PROFILES)
        yield well(f"ISSUER_DETAILS has everything that {names} require")


def _find_problems(settings: Settings, profile: Profile) -> list[Problem]:
    """Return the problems of the issuer and the currency in an invoice that has no others.

    The buyer is in the country of the issuer, where most is required.
    """
    described = issuer_of(settings)
    seller = Party(**described.seller)
    tax = Decimal(25)
    document = FrozenDocument(
        kind=DocumentKind.INVOICE,
        uuid=UUID(int=2),
        number=1,
        issue_date=_DAY,
        due_date=_DAY,
        year=_DAY.year,
        month=_DAY.month,
        period_start=_DAY,
        period_end=_DAY,
        currency=described.currency,
        tax_percent=tax,
        buyer_reference="1",
        net=_LINE.price,
        gross=round_half_up(with_tax(_LINE.price, tax), settings.currency),
        items=1,
        seller=seller,
        buyer=Party(name="Buyer", country=seller.country),
    )
    return [
        problem
        for problem in find_problems(document, [[_LINE]], profile)
        if problem.of is Subject.ISSUER or problem.field == "currency"
    ]
