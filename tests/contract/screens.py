"""The requests of the billing screens of Waldur's web interface, in the order it sends them.

They follow its public source, https://github.com/waldur/waldur-homeport: `src/invoices`,
`src/customer`, `src/administration/organizations` and `src/project`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

Check = Callable[[Any], bool]
"""Returns whether a value is usable where the screen shows it."""


def _parses(parse: Callable[[str], object]) -> Check:
    def check(value: Any) -> bool:
        try:
            parse(value)
        except (ValueError, TypeError, AttributeError, InvalidOperation):
            return False
        return True

    return check


def optional(check: Check) -> Check:
    """Return a check that also takes null."""
    return lambda value: value is None or check(value)


def number(value: Any) -> bool:
    """Check a JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def text(value: Any) -> bool:
    """Check a text."""
    return isinstance(value, str)


def flag(value: Any) -> bool:
    """Check a boolean, of which null is the false one of payment profiles."""
    return value is None or isinstance(value, bool)


def rows(value: Any) -> bool:
    """Check a list."""
    return isinstance(value, list)


def url(value: Any) -> bool:
    """Check an absolute URL."""
    return isinstance(value, str) and urlsplit(value).scheme in ("http", "https")


def amount(value: Any) -> bool:
    """Check a number, or the text of one."""
    return number(value) or (text(value) and _parses(Decimal)(value))


day = _parses(lambda value: date.fromisoformat(value[:10]))
uuid = _parses(UUID)


@dataclass(frozen=True)
class Request:
    """One request, and the needs of the screen. Braces hold the names of values."""

    method: str
    path: str
    query: str = ""
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    """Fields of a multipart body; `proof` is sent as a file unless it is empty."""
    needs: Mapping[str, Check] = field(default_factory=dict)
    """By the path of keys in the response, or in each of its rows."""
    saves: Mapping[str, str] = field(default_factory=dict)
    """Names for values of the response, for later requests; of its first row if it is a list."""
    is_list: bool = False
    """The response is a page, of which the screen reads the count. It has at least one row."""
    all_pages: bool = False
    """The screen follows `rel="next"` to the last page."""


def page(path: str, query: str = "", **needs: Check) -> Request:
    """Return the request of a table."""
    paged = f"page=1&page_size=10&{query}".rstrip("&")
    return Request("GET", path, paged, needs=needs, is_list=True)


INVOICES: Final = "/api/invoices/"
ITEMS: Final = "/api/invoice-items/"
PAYMENTS: Final = "/api/payments/"
PROFILES: Final = "/api/payment-profiles/"
CREDITS: Final = "/api/customer-credits/"
SHARES: Final = "/api/project-credits/"
REPORTS: Final = "/api/financial-reports/"

_OF_CUSTOMER = "customer={customer_url}"
_PERIOD = {"year": number, "month": number}
_PRICES = {"price": amount, "tax": amount, "total": amount}
_RECORD = "&".join(
    f"field={name}"
    for name in ("uuid", "state", "month", "year", "invoice_date", "number", "price")
)
_ITEM = {
    "uuid": uuid,
    "name": text,
    "article_code": text,
    "start": day,
    "unit_price": amount,
    "quantity": amount,
    "details": lambda value: isinstance(value, dict),
}
_INVOICE = {
    **_PERIOD,
    **_PRICES,
    "uuid": uuid,
    "number": amount,
    "state": text,
    "customer_details.name": text,
    "issuer_details": lambda value: isinstance(value, dict),
    "items": rows,
}
_CREDIT = {
    "uuid": uuid,
    "customer_name": text,
    "customer_uuid": uuid,
    "offerings": rows,
    "minimal_consumption_logic": text,
    "minimal_consumption": amount,
    "end_date": optional(day),
    "value": amount,
    "allocated_to_projects": number,
    "consumption_last_month": optional(number),
}
_SHARE = {"uuid": uuid, "project_name": text, "value": amount, "offerings": rows}
_PROFILE = {
    "uuid": uuid,
    "name": text,
    "payment_type": text,
    "payment_type_display": text,
    "is_active": flag,
    "attributes": lambda value: isinstance(value, dict),
}
_PAYMENT = {
    "uuid": uuid,
    "date_of_payment": day,
    "sum": text,
    "proof": optional(url),
    "customer_uuid": uuid,
    "invoice_uuid": uuid,
    "invoice_period": optional(text),
}
_SUM = {"total_price": amount, "start_date": day, "end_date": day}
_TABLE_OF_REPORTS = "accounting_is_running=true&year={year}&month={month}"

SCREENS: Final[dict[str, tuple[Request, ...]]] = {
    "customer dashboard": (
        Request(
            "GET",
            INVOICES,
            _OF_CUSTOMER + "&page_size=12&field=year&field=month&field=price",
            needs={**_PERIOD, "price": amount},
            is_list=True,
        ),
        Request(
            "GET",
            ITEMS + "customer_costs_for_period/",
            "customer_uuid={customer}&period=3",
            needs=_SUM,
        ),
    ),
    "latest invoices": (
        Request(
            "GET",
            INVOICES,
            "page=1&page_size=3&"
            + _OF_CUSTOMER
            + "&field=uuid&field=items&field=month&field=year&field=invoice_date&field=state"
            "&field=price&field=total&field=tax",
            needs={**_PERIOD, **_PRICES, "uuid": uuid, "state": text, "items": rows},
            is_list=True,
        ),
    ),
    "accounting records": (
        page(INVOICES, f"{_OF_CUSTOMER}&{_RECORD}", uuid=uuid, state=text, price=amount, **_PERIOD),
        page(INVOICES, f"{_OF_CUSTOMER}&state=created&state=paid&{_RECORD}", number=amount),
    ),
    "invoices": (
        page(INVOICES, _OF_CUSTOMER + "&field=uuid&field=due_date&field=payment_url", uuid=uuid),
        Request("POST", INVOICES + "{invoice}/send_notification/"),
        Request("POST", INVOICES + "{invoice}/paid/", form={"date": "2026-11-05", "proof": "pdf"}),
    ),
    "mark as paid without a proof": (
        Request("POST", INVOICES + "{invoice}/paid/", form={"date": "2026-11-05", "proof": ""}),
    ),
    "mark as paid, no date": (Request("POST", INVOICES + "{invoice}/paid/", form={}),),
    "invoice details": (
        Request("GET", INVOICES + "{pending}/", needs=_INVOICE),
        Request("PATCH", ITEMS + "{item}/", json={"article_code": "A-1", "quantity": 2}),
        Request(
            "POST", ITEMS + "{item}/create_compensation/", json={"offering_component_name": "CPU"}
        ),
        Request(
            "GET",
            INVOICES,
            _OF_CUSTOMER + "&field=url&field=number&field=year&field=month",
            needs={**_PERIOD, "url": url, "number": amount},
            is_list=True,
            all_pages=True,
        ),
        Request("POST", ITEMS + "{item}/migrate_to/", json={"invoice": "{earlier_url}"}),
        Request("GET", INVOICES + "{earlier}/", needs=_INVOICE),
        Request("DELETE", ITEMS + "{item}/"),
        Request("GET", INVOICES + "{earlier}/", needs=_INVOICE),
    ),
    "statistics of an invoice": (
        page(
            INVOICES + "{invoice}/stats/",
            offering_name=text,
            aggregated_price=amount,
            aggregated_tax=amount,
            aggregated_total=amount,
            service_category_title=text,
            service_provider_name=text,
        ),
    ),
    "estimated cost": (
        Request("GET", REPORTS + "{customer}/", needs={"billing_price_estimate.total": amount}),
    ),
    "payments": (
        page(PAYMENTS, "profile_uuid={profile}", **_PAYMENT),
        Request(
            "GET", PAYMENTS, "profile_uuid={profile}", needs=_PAYMENT, is_list=True, all_pages=True
        ),
        Request(
            "POST",
            PAYMENTS,
            form={
                "date_of_payment": "2026-11-05",
                "sum": "12.5",
                "proof": "pdf",
                "profile": "{profile_url}",
            },
            needs=_PAYMENT,
            saves={"new": "uuid"},
        ),
        Request(
            "PATCH",
            PAYMENTS + "{new}/",
            form={"date_of_payment": "2026-11-06", "sum": "13", "proof": ""},
            needs=_PAYMENT,
        ),
        Request(
            "GET",
            INVOICES,
            _OF_CUSTOMER + "&state=paid",
            needs={"url": url, **_PERIOD},
            is_list=True,
            saves={"paid_url": "url"},
        ),
        Request("POST", PAYMENTS + "{new}/link_to_invoice/", json={"invoice": "{paid_url}"}),
        page(PAYMENTS, "profile_uuid={profile}", **_PAYMENT),
        Request("POST", PAYMENTS + "{new}/unlink_from_invoice/"),
        Request("DELETE", PAYMENTS + "{new}/"),
    ),
    "payment profiles": (
        page(PROFILES, "organization_uuid={customer}&o=is_active", **_PROFILE),
        Request(
            "POST",
            PROFILES,
            json={
                "is_active": False,
                "name": "Contract",
                "organization": "{customer_url}",
                "payment_type": "fixed_price",
                "attributes": {
                    "end_date": "2030-01-01",
                    "agreement_number": "A-1",
                    "contract_sum": 100,
                },
            },
            needs=_PROFILE,
            saves={"new": "uuid"},
        ),
        Request("POST", PROFILES + "{new}/enable/"),
        Request(
            "PATCH",
            PROFILES + "{new}/",
            json={"name": "Renamed", "payment_type": "invoices", "attributes": {}},
            needs=_PROFILE,
        ),
        page(PROFILES, "organization_uuid={customer}&o=is_active", **_PROFILE),
        Request("DELETE", PROFILES + "{new}/"),
    ),
    "credits of organizations": (
        page(CREDITS, "query={customer}&o=-value", **_CREDIT),
        page(CREDITS, "o=end_date,-customer_name", **_CREDIT),
        Request(
            "POST",
            CREDITS,
            json={
                "value": "100",
                "customer": "{other_customer_url}",
                "offerings": ["{offering_url}"],
                "end_date": "{next_year}",
                "expected_consumption": "10",
                "minimal_consumption_logic": "fixed",
            },
            saves={"new": "uuid"},
        ),
        Request("GET", CREDITS, "customer_uuid={other_customer}", needs=_CREDIT, is_list=True),
        Request(
            "PUT",
            CREDITS + "{new}/",
            json={
                "value": "90",
                "customer": "{other_customer_url}",
                "offerings": ["{offering_url}"],
                "end_date": "{next_year}",
                "expected_consumption": "10.00000",
                "minimal_consumption_logic": "linear",
                "grace_coefficient": "0",
                "apply_as_minimal_consumption": True,
            },
        ),
        Request("DELETE", CREDITS + "{new}/"),
        page(ITEMS, "credit_uuid={credit}&customer_uuid={customer}", **_ITEM),
    ),
    "credits of projects": (
        Request("GET", CREDITS, "customer_uuid={customer}", needs=_CREDIT, is_list=True),
        page(SHARES, "query={project}&o=project_name", **_SHARE),
        page(SHARES, "o=-value,end_date", **_SHARE),
        Request(
            "POST",
            SHARES,
            json={"value": "10", "project": "{other_project_url}"},
            needs=_SHARE,
            saves={"new": "uuid"},
        ),
        Request(
            "PUT",
            SHARES + "{new}/",
            json={"value": "9", "project": "{other_project_url}"},
            needs=_SHARE,
        ),
        Request("DELETE", SHARES + "{new}/"),
    ),
    "credit transactions": (
        page(
            "/api/credit-transactions/",
            "customer_uuid={customer}&o=-created",
            created=day,
            amount=amount,
            transaction_type_display=text,
        ),
    ),
    "project dashboard": (
        page(ITEMS + "costs/", "project_uuid={project}", price=number, year=number, month=number),
        Request(
            "GET",
            ITEMS + "project_costs_for_period/",
            "project_uuid={project}&period=2",
            needs=_SUM,
        ),
    ),
    "financial overview": (
        Request(
            "GET",
            INVOICES,
            "page_size=1&o=year,month&field=year&field=month",
            needs=_PERIOD,
            is_list=True,
        ),
        page(
            REPORTS,
            _TABLE_OF_REPORTS + "&o=-estimated_cost",
            name=text,
            uuid=uuid,
            abbreviation=text,
            created=day,
            payment_profiles=optional(rows),
            billing_price_estimate=lambda value: isinstance(value, dict),
        ),
        page(REPORTS, _TABLE_OF_REPORTS + "&query=Customer&o=name", name=text),
        Request(
            "GET",
            "/api/billing-total-cost/",
            _TABLE_OF_REPORTS,
            needs={"price": number, "total": number},
        ),
        Request(
            "GET",
            INVOICES,
            _OF_CUSTOMER + "&year={year}&month={month}",
            needs=_INVOICE,
            is_list=True,
        ),
        Request(
            "POST",
            "/api/invoice/send-financial-report-by-mail/",
            json={"emails": ["books@example.com"], "year": 2026, "month": 10},
        ),
    ),
    "growth": (
        Request(
            "GET",
            INVOICES + "growth/",
            "accounting_is_running=true&accounting_mode=accounting",
            needs={
                "periods": rows,
                "total_periods": rows,
                "other_periods": rows,
                "customer_periods": rows,
            },
        ),
    ),
    "import of usage": (
        Request(
            "POST",
            INVOICES + "import_usage/",
            json={
                "year": 2026,
                "month": 10,
                "items": [{"customer_uuid": "{customer}", "name": "GPU", "unit_price": "1.5"}],
            },
            needs={"created": number, "skipped": number, "errors": rows},
        ),
    ),
    "items of a seller": (
        page("/api/provider-invoice-items/", "offering_uuid={offering}", uuid=uuid, price=number),
    ),
    "affiliates": (
        page("/api/customer-affiliates/", "customer_uuid={customer}", affiliate_name=text),
        page("/api/customer-affiliates/{affiliate}/accruals/", amount=amount),
        Request(
            "GET",
            "/api/customer-affiliates/{affiliate}/earnings/",
            needs={"total_earned": amount, "per_month": rows},
        ),
    ),
}
"""The requests of each screen, by its name."""
