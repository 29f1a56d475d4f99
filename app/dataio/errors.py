"""What PostgreSQL refused, in words for whoever wrote the file."""

import re

from sqlalchemy.exc import DBAPIError

_TOO_LARGE = "an amount is too large: an item, an invoice or a payment is of less than 10^20"
_REASONS = {
    "uq_users_username": "another user has this username",
    "uq_tokens_digest": "another token has this digest",
    "uq_service_providers_customer_id": "the customer has another service provider",
    "uq_customer_credits_customer_id": "the customer has another credit",
    "uq_invoices_customer_id_year_month": "the customer has another invoice for this month",
    "uq_invoices_number": "another invoice has this number",
    "uq_payment_profiles_active_customer_id": "the customer has another active payment profile",
    "uq_notification_deliveries_message_id": "another delivery has this message id",
    "ck_invoices_total_price_is_bounded": _TOO_LARGE,
    "ck_payments_sum_is_bounded": _TOO_LARGE,
}
_QUOTED = re.compile(r'"[^"]*"')
_OUT_OF_RANGE = "22003"
_OF_THE_DATA = ("22", "23", "54")
"""The classes of SQLSTATE that tell of values: wrong, against a constraint, too large."""


def reason(error: BaseException) -> str | None:
    """Tell what is wrong with the data, without repeating it; None for an error of another sort."""
    cause: BaseException | None = error
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig else None
    state = str(getattr(cause, "sqlstate", ""))
    if cause is None or not state.startswith(_OF_THE_DATA):
        return None
    known = _REASONS.get(getattr(cause, "constraint_name", None) or "")
    if state == _OUT_OF_RANGE:
        return _TOO_LARGE
    # PostgreSQL's details quote values; its messages do for values of the wrong form.
    message = str(cause.args[0])
    return known or (_QUOTED.sub('"…"', message) if state.startswith("22") else message)
