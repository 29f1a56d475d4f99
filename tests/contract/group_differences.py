"""The differences between this service and the recorded Waldur, in the groups beside invoices.

A `Decision` is a difference of single exchanges: it states the status of our response, and values
of its body or headers. An `Equivalence` is a difference of form alone: it rewrites both responses
to one form. Everything else is equal.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from app.billing.periods import Period
from tests.contract.differences import compare
from tests.contract.recording import Answer, Exchange

Body = Any


@dataclass(frozen=True)
class Decision:
    """A difference of single exchanges, by the name of the scenario and the step."""

    reason: str
    exchanges: Mapping[tuple[str, int], tuple[int, Mapping[str, Any] | list[str] | None]]
    """The status; and the body of an error, keys of a record, or headers of a list."""


@dataclass(frozen=True)
class Equivalence:
    """Two forms of the same."""

    reason: str
    rewrite: Callable[[str, Any], Any]
    """Returns the value of a key in the common form; `DROPPED` to leave the key out."""
    applies: Callable[[Exchange], bool] = field(default=lambda _: True)


DROPPED: Final = object()
_NEW_KEYS: Final = {
    "invoice-items": "price offering_uuid offering_name offering_component_type project_uuid"
    " project_name customer_uuid customer_name quantity unit_price start end invoice",
    "provider-invoice-items": "factor credit",
    "payments": "invoice_uuid invoice",
    "payment-profiles": "status",
    "customer-credits": "expected_consumption grace_coefficient apply_as_minimal_consumption"
    " withdrawable_balance customer_name customer_uuid",
    "project-credits": "customer_slug customer_name customer_uuid spendable_value"
    " is_limited_by_organization_credit end_date expected_consumption minimal_consumption"
    " minimal_consumption_logic grace_coefficient apply_as_minimal_consumption"
    " mark_unused_credit_as_spent_on_project_termination creditable_cost_this_month",
}
"""Keys of the documented responses that those of the recorded release lack, by group."""
_AMOUNTS: Final = {
    "minimal_consumption",
    "allocated_to_projects",
    "customer_credit",
    "allocated_customer_credit",
    "total",
    "tax",
}


def _amount(key: str, value: Any) -> Any:
    return Decimal(str(value)) if key in _AMOUNTS and value is not None else value


def _first_of_month(key: str, value: Any) -> Any:
    if key != "end_date" or not isinstance(value, str) or value.endswith("-01"):
        return value
    return Period.containing(date.fromisoformat(value)).shifted(1).first_day.isoformat()


def _keyed(**values: Any) -> Callable[[str, Any], Any]:
    return values.get


def _text_of_sum(key: str, value: Any) -> Any:
    if key == "attributes" and isinstance(value, dict) and "contract_sum" in value:
        return {**value, "contract_sum": str(value["contract_sum"])}
    return value


EQUIVALENCES: Final = (
    Equivalence(
        "Identifiers of new records are random.",
        _keyed(uuid="new", url="new"),
        lambda exchange: exchange.method == "POST",
    ),
    Equivalence(
        "The identifier of a compensation is random.",
        _keyed(invoice_item_uuid="new"),
        lambda exchange: exchange.operation == "create_compensation",
    ),
    Equivalence(
        "The compensation itself is read by its identifier.",
        _keyed(uuid="new"),
        lambda exchange: exchange.scenario.startswith("invoice-items:compensate"),
    ),
    Equivalence(
        "The name of a type has no white space before it.",
        lambda key, value: value.strip() if key == "payment_type_display" else value,
    ),
    Equivalence("The sum of a contract is a text since 8.1.", _text_of_sum),
    Equivalence(
        "A proof is an operation that checks who sees the payment, not a file of the server.",
        lambda key, value: "proof" if key == "proof" and value else value,
    ),
    Equivalence("Amounts are numbers or texts as 8.1 documents them.", _amount),
    Equivalence(
        "A credit ends on the first of a month; an import moves it there.",
        _first_of_month,
        lambda exchange: "-credits/" in exchange.path,
    ),
    Equivalence(
        "Releases 8 have no switch that lets projects use the credit of the organization.",
        _keyed(use_organisation_credit=DROPPED),
    ),
    Equivalence(
        "The minimal consumption is computed from the expected one, which a request has.",
        _keyed(minimal_consumption=DROPPED),
        lambda exchange: exchange.scenario.startswith("customer-credits:create"),
    ),
    Equivalence(
        "The current cost is the begun share of each item; the recorded one ignores quantities.",
        _keyed(current=DROPPED, tax_current=DROPPED),
    ),
    Equivalence(
        "The profiles in a report have an order.",
        lambda key, value: (
            sorted(value, key=lambda each: str(each["uuid"]))
            if key == "payment_profiles" and value
            else value
        ),
    ),
)

_LIMIT: Final = "The sum of project credits cannot exceed the credit for organization."
DECISIONS: Final = {
    "project roles": Decision(
        "Project roles see items where billing is shown in projects, and credits of projects. They"
        " change none.",
        {
            ("invoice-items:list:role-padmin", 1): (200, {"X-Result-Count": "27"}),
            ("project-credits:list:role-padmin", 1): (200, {"X-Result-Count": "1"}),
            ("project-credits:PATCH:role-padmin", 1): (
                403,
                {"detail": "You do not have permission to perform this action."},
            ),
        },
    ),
    "items of a seller": Decision(
        "An item is found by its UUID, not by an internal number.",
        {
            ("provider-invoice-items:retrieve:number-seller", 1): (
                404,
                {"detail": "No InvoiceItem matches the given query."},
            ),
            ("provider-invoice-items:retrieve:a14d8ab9ce235827ae2b052d0077c42c", 1): (
                200,
                {"uuid": "a14d8ab9ce235827ae2b052d0077c42c"},
            ),
        },
    ),
    "sums of own organizations": Decision(
        "Customer roles get the sums of their own organizations.",
        {("billing-total-cost:role-owner", 1): (200, {"total": 3643.008, "price": 3035.84})},
    ),
    "both forms of UUIDs": Decision(
        "Costs are found by a UUID with hyphens, too.",
        {
            ("costs:filter:project_uuid=157f5a2b-d03c-59dd-81c2-dbb6a06a2e96", 1): (
                200,
                {"X-Result-Count": "13"},
            )
        },
    ),
    "order": Decision(
        "Rows without a value come last, ascending and descending. The order is total, and newest"
        " first for items of a seller.",
        {
            ("customer-credits:filter:o=-end_date", 1): (200, {"X-Result-Count": "5"}),
            ("invoice-items:list:role-staff", 1): (200, {"X-Result-Count": "927"}),
            (
                "invoice-items:filter:customer_uuid=a6d9389121e95ec394b2c33c1eca737c",
                1,
            ): (200, {"X-Result-Count": "144"}),
            ("provider-invoice-items:list:role-seller", 1): (200, {"X-Result-Count": "489"}),
        },
    ),
    "a sum by default": Decision(
        "A payment without a sum is of 0. Waldur fails.",
        {("payments:create:no_sum", 1): (201, {"sum": "0.00"})},
    ),
    "attributes": Decision(
        "The attributes of a profile are an object.",
        {
            ("payment-profiles:create:attr_list", 1): (
                400,
                {"attributes": ['Expected a dictionary of items but got type "list".']},
            )
        },
    ),
    "one active profile": Decision(
        "A profile that becomes active turns the organization's others off, by any operation.",
        {
            ("payment-profiles:create:org_with_active", 1): (201, {"is_active": True}),
            ("payment-profiles:PATCH:former-on", 1): (200, {"is_active": True}),
        },
    ),
    "a profile with payments": Decision(
        "A profile with payments is not deleted. Waldur fails.",
        {
            ("payment-profiles:DELETE:with-payments", 1): (
                409,
                {"detail": "The payment profile has payments. Make it inactive instead."},
            )
        },
    ),
    "larger credits": Decision(
        "A value has up to 11 digits before the point since 8.",
        {("customer-credits:create:value_7_whole", 1): (201, {"value": "1000000.00000"})},
    ),
    "expected consumption": Decision(
        "The minimal consumption is not set, but computed from the expected one.",
        {
            ("customer-credits:create:min_equal", 1): (201, {"expected_consumption": "0.00000"}),
            ("customer-credits:PATCH:min", 1): (200, {"value": "100.12345"}),
        },
    ),
    "end dates": Decision(
        "A credit ends on the first of a month since 8.",
        {
            ("customer-credits:create:linear_this_month", 1): (
                400,
                {"end_date": ["The end date must be the first day of a month."]},
            )
        },
    ),
    "a credit with shares of projects": Decision(
        "A credit stays while shares of projects have a value.",
        {
            ("customer-credits:DELETE:then-project-credits", 1): (
                409,
                {"detail": "Projects of the organization have credit: set it to 0 before."},
            ),
            ("customer-credits:DELETE:then-project-credits", 2): (200, {"value": "100.12345"}),
            ("customer-credits:DELETE:then-project-credits", 3): (200, {"value": "25.50000"}),
        },
    ),
    "the sum of shares": Decision(
        "Shares never exceed the credit of the organization, nor does it fall below them.",
        {
            ("project-credits:create:own-value-not-counted:third_huge", 1): (400, [_LIMIT]),
            ("customer-credits:PATCH:value_below_projects", 1): (
                400,
                {"non_field_errors": ["Expected consumption must be smaller than the credit."]},
            ),
        },
    ),
    "the span of an item": Decision(
        "The end of an item is not before its start.",
        {
            ("invoice-items:PATCH:fixed:end_before", 1): (
                400,
                {"end": ["The end must not be before the start."]},
            )
        },
    ),
    "an issued invoice does not change": Decision(
        "Items of an issued invoice stay as they are, and it takes no more.",
        {
            ("invoice-items:PATCH:usage:no-record", 1): (409, None),
            ("invoice-items:PATCH:state-paid", 1): (409, None),
            ("invoice-items:migrate:role-staff", 1): (409, None),
        },
    ),
    "the month of a report": Decision(
        "A report is of a month that exists.",
        {
            ("report:month_13", 1): (
                400,
                {"month": ["Ensure this value is less than or equal to 12."]},
            ),
            ("report:month_0", 1): (
                400,
                {"month": ["Ensure this value is greater than or equal to 1."]},
            ),
        },
    ),
    "the message of a rule": Decision(
        "A rule that is no field's is refused with a list.",
        {
            ("invoice-items:compensate:negative", 1): (
                400,
                ["Can not create compensation for invoice item with negative unit price."],
            )
        },
    ),
}
"""By name."""


def decision_of(exchange: Exchange) -> str | None:
    """Return the name of the decision about an exchange; None if there is none."""
    for name, decision in DECISIONS.items():
        if (exchange.scenario, exchange.step) in decision.exchanges:
            return name
    return None


def contradictions(name: str, exchange: Exchange, actual: Answer) -> Iterator[str]:
    """Yield the values that differ from the decisions."""
    status, decided = DECISIONS[name].exchanges[exchange.scenario, exchange.step]
    if actual.status != status:
        yield f"status: is {actual.status}, not {status}"
    if decided is None:
        return
    if status >= 400 or not isinstance(decided, Mapping):
        if actual.body != decided:
            yield f"body: is {actual.body}, not {decided}"
        return
    found = actual.headers if isinstance(actual.body, list) else actual.body
    for key, value in decided.items():
        if found.get(key) != value:
            yield f"{key}: is {found.get(key)!r}, not {value!r}"


NEW_KEYS: Final = "The documented responses have keys that the recorded release lacks."


def common_form(
    exchange: Exchange, actual: Answer, recorded: Answer
) -> tuple[Answer, Answer, set[str]]:
    """Return both responses in their common form, and the reasons of the equivalences used."""
    used: set[str] = set()
    new = set(_NEW_KEYS.get(exchange.path.split("/")[2], "").split())
    actual = replace(_sorted(actual), headers=_headers(actual))
    recorded = replace(_sorted(recorded), headers=_headers(recorded))
    body = _without(new, actual.body, recorded.body)
    if body != actual.body:
        used.add(NEW_KEYS)
        actual = replace(actual, body=body)
    for each in EQUIVALENCES:
        if each.applies(exchange):
            before = list(compare(actual, recorded))
            actual = replace(actual, body=_rewritten(each, actual.body))
            recorded = replace(recorded, body=_rewritten(each, recorded.body))
            if len(list(compare(actual, recorded))) < len(before):
                used.add(each.reason)
    return actual, recorded, used


def _headers(answer: Answer) -> dict[str, Any]:
    """Leave out `Allow`, which the other replay compares, and the place of a new record."""
    headers = {name: value for name, value in answer.headers.items() if name != "Allow"}
    return headers | ({"Location": "new"} if "Location" in headers else {})


def _sorted(answer: Answer) -> Answer:
    return replace(answer, body=_rewritten(Equivalence("", lambda _, value: value), answer.body))


def _without(keys: set[str], ours: Body, theirs: Body) -> Body:
    """Leave out those keys that only our records have."""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [_without(keys, *pair) for pair in zip(ours, theirs, strict=True)]
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return {key: value for key, value in ours.items() if key in theirs or key not in keys}
    return ours


def _rewritten(each: Equivalence, value: Body) -> Body:
    if isinstance(value, list):
        return [_rewritten(each, one) for one in value]
    if not isinstance(value, dict):
        return value
    rewritten = {key: each.rewrite(key, value[key]) for key in sorted(value)}
    return {
        key: _rewritten(each, one) if isinstance(one, dict | list) else one
        for key, one in rewritten.items()
        if one is not DROPPED
    }
