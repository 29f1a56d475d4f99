"""The differences between the responses of this service and the recorded ones of Waldur.

Each difference has a rule. It rewrites a recorded response into the exact response of this service,
or returns it unchanged if the rule does not apply.
"""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal
from urllib.parse import parse_qs
from uuid import UUID

from app.settings import IssuerDetails
from tests.contract.recorded_waldur import Facts
from tests.contract.recording import Answer, Exchange

WHOLE = ("quirk:no-offering-customer", 1)
"""The exchange with the whole, unchanged invoice."""
INVOICE = "2a54a9b093c7558db082be2434b24ec9"
"""The invoice of most exchanges."""
HEX_UUID = re.compile(r"(?:(?<=/)|^)[0-9a-f]{32}(?=/$|$)")
UUIDS_OF_DETAILS = {"resource_uuid", "plan_uuid", "offering_uuid", "service_provider_uuid"}
COUNT = "X-Result-Count"
JSON = {"Content-Type": "application/json"}
UuidStyle = Literal["hyphens", "hex"]
NEW = "new"
"""Replaces the identifier of a row that an exchange created."""


@dataclass(frozen=True)
class Difference:
    """A rule by which responses differ."""

    name: str
    reason: str
    expect: Callable[[Exchange, Answer, Facts], Answer]
    styles: frozenset[UuidStyle] = frozenset({"hyphens", "hex"})
    """The values of WIRE_UUID_STYLE to which the rule applies."""


def _copy(answer: Answer) -> Answer:
    return replace(answer, headers=dict(answer.headers), body=deepcopy(answer.body))


def _invoices(answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield the whole invoices of a response, for modification."""
    found = answer.body if isinstance(answer.body, list) else [answer.body]
    yield from (each for each in found if isinstance(each, dict) and "items" in each)


def _items(answer: Answer) -> Iterator[dict[str, Any]]:
    for invoice in _invoices(answer):
        yield from invoice["items"]


def _insert_after(row: dict[str, Any], key: str, name: str, value: object) -> None:
    pairs = list(row.items())
    row.clear()
    for each, old in pairs:
        row[each] = old
        if each == key:
            row[name] = value


def _paid_returns_the_invoice(exchange: Exchange, answer: Answer, facts: Facts) -> Answer:
    if exchange.operation != "paid" or answer.status != 200:
        return answer
    body = {**deepcopy(facts.recorded(*WHOLE).body), "state": "paid"}
    return replace(answer, headers={**answer.headers, **JSON}, body=body)


def _forged_address(exchange: Exchange, answer: Answer, facts: Facts) -> Answer:
    if answer.status != 500 or exchange.headers.get("X-Forwarded-For") != "not-an-ip":
        return answer
    return facts.recorded(exchange.scenario, 1)


def _missing_component(exchange: Exchange, answer: Answer, facts: Facts) -> Answer:
    if answer.status != 500 or exchange.operation != INVOICE:
        return answer
    expected = _copy(facts.recorded(*WHOLE))
    for item in _items(expected):
        if item["details"].get("plan_component_id") in facts.without_component:
            item["billing_type"] = None
    return expected


def _unknown_seller(exchange: Exchange, answer: Answer, facts: Facts) -> Answer:
    if answer.status != 500 or exchange.operation != "stats":
        return answer
    expected = _copy(facts.recorded("quirk:plan-component-without-component", 2))
    body = facts.stats(INVOICE)
    return replace(expected, headers={**expected.headers, COUNT: str(len(body))}, body=body)


def _hyphens(_: Exchange, answer: Answer, __: Facts) -> Answer:
    return replace(answer, body=_hyphenated(answer.body))


def _hyphenated(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _in_details(each) if key == "details" else _hyphenated(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_hyphenated(each) for each in value]
    if isinstance(value, str):
        return HEX_UUID.sub(lambda found: str(UUID(found[0])), value)
    return value


def _in_details(details: dict[str, Any]) -> dict[str, Any]:
    """Stored details are returned unchanged, except for their documented UUIDs."""
    return {
        key: _hyphenated(value) if key in UUIDS_OF_DETAILS else value
        for key, value in details.items()
    }


def _new_fields(_: Exchange, answer: Answer, facts: Facts) -> Answer:
    expected = _copy(answer)
    for invoice in _invoices(expected):
        items = {each["uuid"]: each for each in facts.items_of(invoice["uuid"])}
        for item in invoice["items"]:
            factor = Decimal(item["quantity"])
            if factor == int(factor):
                _insert_after(item, "unit", "factor", int(factor))
            item["credit"] = items[item["uuid"]]["credit"]
        for name, credit in (("compensations", True), ("incurred_costs", False)):
            amounts = (
                each["unit_price"] * each["quantity"]
                for each in items.values()
                if each["credit"] is credit
            )
            invoice[name] = float(sum(amounts, Decimal(0)))
        (customer,) = (each for each in facts.invoices if each["uuid"] == invoice["uuid"])
        invoice["customer_details"]["vat_code"] = customer["vat_code"]
    return expected


def _issuer(_: Exchange, answer: Answer, __: Facts) -> Answer:
    expected = _copy(answer)
    for invoice in _invoices(expected):
        issuer = invoice["issuer_details"]
        documented = {name: issuer.get(name, "") for name in IssuerDetails().model_dump()}
        invoice["issuer_details"] = {
            **documented,
            **{name: value for name, value in issuer.items() if name not in documented},
        }
    return expected


def _omitted_fields(_: Exchange, answer: Answer, __: Facts) -> Answer:
    expected = _copy(answer)
    for item in _items(expected):
        if item["billing_type"] is None:
            del item["billing_type"]
    return expected


def _stats_rows(exchange: Exchange, answer: Answer, _: Facts) -> Answer:
    if exchange.operation != "stats" or answer.status != 200:
        return answer
    expected = _copy(answer)
    for row in expected.body:
        row.pop("uuid", None)
    return expected


def _stats_order(exchange: Exchange, answer: Answer, _: Facts) -> Answer:
    if exchange.operation != "stats" or answer.status != 200:
        return answer
    return replace(answer, body=sorted(answer.body, key=lambda row: str(row["offering_name"])))


def _list_order(exchange: Exchange, answer: Answer, facts: Facts) -> Answer:
    if exchange.path != "/api/invoices/" or exchange.method != "GET" or exchange.role != "staff":
        return answer
    parameters = parse_qs(exchange.query)
    if answer.status != 200 or "customer_uuid" in parameters:
        return answer
    size, page = int(parameters.get("page_size", ["10"])[0]), int(parameters.get("page", ["1"])[0])
    rows = facts.invoices[(page - 1) * size : page * size]
    customers = answer.body[0].get("customer", "").split("/api/")[0] + "/api/customers/"
    body = [{**row, "customer": f"{customers}{row['customer']}/"} for row in rows]
    names = list(answer.body[0])
    return replace(answer, body=[{name: row[name] for name in names} for row in body])


def _allow(exchange: Exchange, answer: Answer, _: Facts) -> Answer:
    if "Allow" not in answer.headers:
        return answer
    if answer.status != 405:
        return replace(answer, headers={k: v for k, v in answer.headers.items() if k != "Allow"})
    works = {"GET", "HEAD"} if exchange.path.count("/") <= 4 else {"POST"}
    return replace(answer, headers={**answer.headers, "Allow": {*works, "OPTIONS"}})


def _redirect(exchange: Exchange, answer: Answer, __: Facts) -> Answer:
    if answer.status != 301:
        return answer
    headers = {name: value for name, value in answer.headers.items() if name != "Content-Type"}
    headers["Location"] = f"./{exchange.operation}/"
    return replace(answer, status=308, headers=headers)


def _growth_count(exchange: Exchange, answer: Answer, _: Facts) -> Answer:
    if exchange.operation != "growth":
        return answer
    count = str(len(answer.body["customer_periods"]))
    return replace(answer, headers={**answer.headers, COUNT: count})


def _payment_ids(exchange: Exchange, answer: Answer, _: Facts) -> Answer:
    if exchange.operation != "payments":
        return answer
    expected = _copy(answer)
    for payment in expected.body[1:]:
        payment.update(uuid=NEW, url=NEW)
    return expected


def _payment_sum(exchange: Exchange, answer: Answer, facts: Facts) -> Answer:
    if exchange.operation != "payments":
        return answer
    expected = _copy(answer)
    total = Decimal(facts.recorded(*WHOLE).body["total"])
    for payment in expected.body[1:]:
        payment["sum"] = str(total.quantize(Decimal("0.01"), ROUND_HALF_UP))
    return expected


DIFFERENCES = (
    Difference(
        "paid returns the invoice",
        "The documented response to `paid` is the whole invoice. Waldur's body is empty.",
        _paid_returns_the_invoice,
    ),
    Difference(
        "a forged address has no effect",
        "A client's address is taken from trusted proxies only. Waldur fails on an invalid one.",
        _forged_address,
    ),
    Difference(
        "a plan component without its component",
        "An item without a billing type omits it. Waldur fails.",
        _missing_component,
    ),
    Difference(
        "a seller that is not a service provider",
        "Stats have the UUID of its customer, or the nil UUID without a seller, because the"
        " field is required. Waldur fails.",
        _unknown_seller,
    ),
    Difference(
        "list order",
        "The default order ends with the number, newest first, so that it is total. In Waldur,"
        " the invoices of one month have no order.",
        _list_order,
    ),
    Difference(
        "fields that the recorded release lacks",
        "The documented response has `factor`, `credit`, `compensations`, `incurred_costs`"
        " and `vat_code`. The recorded release is older.",
        _new_fields,
    ),
    Difference(
        "the issuer's documented keys",
        "`issuer_details` has all documented keys. They are empty if the operator sets none.",
        _issuer,
    ),
    Difference(
        "a field without a value is omitted",
        "A field that has no value and is not nullable is omitted. Waldur sends null.",
        _omitted_fields,
    ),
    Difference(
        "stats as documented",
        "A row of stats has no `uuid`, which Waldur adds.",
        _stats_rows,
    ),
    Difference(
        "stats order",
        "Stats are ordered by the offering's name. In Waldur, they have no order.",
        _stats_order,
    ),
    Difference(
        "hyphens in UUIDs",
        "UUIDs have the format of RFC 9562. Waldur sends 32 hexadecimal digits.",
        _hyphens,
        frozenset({"hyphens"}),
    ),
    Difference(
        "Allow lists methods that work",
        "`Allow` is sent with 405 and lists methods that work. Waldur always sends it, and lists"
        " disabled ones too.",
        _allow,
    ),
    Difference(
        "a redirect that preserves method and body",
        "A path without its trailing slash gets 308 and a relative location. Waldur's 301 loses"
        " the body, and its location loses the prefix of a gateway.",
        _redirect,
    ),
    Difference(
        "growth is counted",
        "Growth has an `X-Result-Count`, the number of its customers. Waldur's has none.",
        _growth_count,
    ),
    Difference(
        "a new payment has its own identifier",
        "A created payment gets a new UUID, here as in Waldur.",
        _payment_ids,
    ),
    Difference(
        "the sum of a payment",
        "The sum of a payment is the invoice's total. Waldur recomputes quantities, and records"
        " another sum.",
        _payment_sum,
    ),
)


def differences_of(style: UuidStyle) -> list[Difference]:
    """Return the rules that apply to a style of UUIDs."""
    return [difference for difference in DIFFERENCES if style in difference.styles]


def expected(exchange: Exchange, facts: Facts, style: UuidStyle) -> tuple[Answer, list[str]]:
    """Return the expected response, and the names of the differences that apply."""
    answer, applied = exchange.answer, []
    for difference in differences_of(style):
        rewritten = difference.expect(exchange, answer, facts)
        if list(compare(answer, rewritten)):
            applied.append(difference.name)
        answer = rewritten
    return answer, applied


def compare(actual: Answer, other: Answer) -> Iterator[str]:
    """Yield each difference of two responses. The order of keys counts, and 1 differs from true."""
    yield from _compare("status", actual.status, other.status)
    yield from _compare("headers", set(actual.headers), set(other.headers))
    for name in actual.headers.keys() & other.headers.keys():
        yield from _compare(name, actual.headers[name], other.headers[name])
    yield from _compare("body", actual.body, other.body)


def _compare(place: str, actual: Any, other: Any) -> Iterator[str]:
    if isinstance(actual, dict) and isinstance(other, dict):
        if list(actual) != list(other):
            yield f"{place}: has {list(actual)}, not {list(other)}"
        for key in actual.keys() & other.keys():
            yield from _compare(f"{place}.{key}", actual[key], other[key])
    elif isinstance(actual, list) and isinstance(other, list) and len(actual) == len(other):
        for position, pair in enumerate(zip(actual, other, strict=True)):
            yield from _compare(f"{place}[{position}]", *pair)
    elif actual != other or isinstance(actual, bool) != isinstance(other, bool):
        yield f"{place}: is {actual!r}, not {other!r}"
