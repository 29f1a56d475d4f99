"""How the values of one response are formatted."""

from dataclasses import dataclass

from app.api.serializers import Links
from app.billing.currencies import Currency


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The links of a response, and the currency that its amounts are rounded to."""

    links: Links
    currency: Currency
    has_grace_period: bool = False
    """Whether the history shows invoices in their grace period as such; else they are pending."""
