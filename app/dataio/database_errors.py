"""PostgreSQL's errors about data, as reasons for the author of an import file."""

import re

from sqlalchemy.exc import DBAPIError

_TOO_LARGE = (
    "an amount is too large: an item, an invoice and a payment must each be less than 10^20"
)
_REASON_BY_CONSTRAINT = {
    "uq_users_username": "another user has this username",
    "uq_tokens_digest": "another token has this digest",
    "uq_service_providers_customer_id": "the customer has another service provider",
    "uq_customer_credits_customer_id": "the customer has another credit",
    "uq_project_credits_project_id": "the project has another credit",
    "uq_customer_affiliates_customer_id_affiliate_id": "the customer has this affiliate twice",
    "uq_customer_affiliates_active_customer_id": "the customer has another active affiliate",
    "uq_affiliate_fee_accruals_affiliate_link_id_invoice_id": (
        "the affiliate has another fee from this invoice"
    ),
    "uq_invoices_customer_id_year_month": "the customer has another invoice for this month",
    "uq_invoices_number": "another invoice has this number",
    "uq_payment_profiles_active_customer_id": "the customer has another active payment profile",
    "uq_notification_deliveries_message_id": "another delivery has this message id",
    "ck_invoices_total_price_is_bounded": _TOO_LARGE,
    "ck_payments_sum_is_bounded": _TOO_LARGE,
}
_QUOTED = re.compile(r'"[^"]*"')
_INVALID_VALUE = "22"
_OUT_OF_RANGE = "22003"
_DATA_ERROR_CLASSES = (_INVALID_VALUE, "23", "54")
"""Classes of SQLSTATE: data exception, constraint violation, program limit exceeded."""


def rejection_reason(error: BaseException) -> str | None:
    """Return the reason why PostgreSQL rejected data, without the data itself.

    Returns None if the error has another cause than the data.
    """
    cause: BaseException | None = error
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig else None
    state = str(getattr(cause, "sqlstate", ""))
    if cause is None or not state.startswith(_DATA_ERROR_CLASSES):
        return None
    if state == _OUT_OF_RANGE:
        return _TOO_LARGE
    if known := _REASON_BY_CONSTRAINT.get(getattr(cause, "constraint_name", None) or ""):
        return known
    message = str(cause.args[0])
    # The messages about invalid values quote them; the other messages do not.
    return _QUOTED.sub('"…"', message) if state.startswith(_INVALID_VALUE) else message
