"""Query parameters: every value is parsed, or refused with a message."""

import asyncio
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.errors import NotFound, api_error_of
from app.api.pagination import Page, Paging
from app.api.query_parameters import Parameters, QueryParameters, QueryParser, parse_integer
from app.invoices.api.filters import (
    GrowthParameters,
    ItemsParameters,
    ListParameters,
    MomentParameters,
    RetrieveParameters,
    StatsParameters,
)
from app.invoices.schemas import INVOICE_FIELDS

MODELS: list[type[QueryParameters]] = [
    ListParameters,
    RetrieveParameters,
    ItemsParameters,
    StatsParameters,
    GrowthParameters,
]
NAMES = sorted({name for model in MODELS for name in model.model_fields})
values = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.decimals().map(str),
    st.uuids().map(str),
    st.dates().map(str),
)


def parse(model: type[Parameters], query: str) -> Parameters:
    request = Request({"type": "http", "query_string": query.encode()})
    return asyncio.run(QueryParser(model)(request))


def errors_of(model: type[QueryParameters], query: str) -> dict[str, list[str]]:
    """The body of the response to a query that is refused."""
    with pytest.raises(RequestValidationError) as caught:
        parse(model, query)
    error = api_error_of(caught.value)
    assert error.status == 400
    body: dict[str, list[str]] = error.body
    return body


@given(st.sampled_from(MODELS), st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=8))
def test_any_query_is_parsed_or_refused(
    model: type[QueryParameters], query: list[tuple[str, str]]
) -> None:
    try:
        assert isinstance(parse(model, urlencode(query)), model)
    except RequestValidationError as error:
        body = api_error_of(error).body
        assert set(body) <= {name for name, _ in query}
        assert all(message for messages in body.values() for message in messages)


def test_all_invalid_parameters_are_reported_together() -> None:
    assert errors_of(
        ListParameters, "year=x&created=x&month=11&state=x&state=paid&page_size=0"
    ) == {
        "created": ["Enter a valid date."],
        "state": ["Select a valid choice. x is not one of the available choices."],
        "year": ["Enter a number."],
        "page_size": ["Ensure this value is greater than or equal to 1."],
    }


def test_an_empty_value_counts_as_absent() -> None:
    empty = "&".join(f"{name}=" for name in ListParameters.model_fields if name != "state")
    assert parse(ListParameters, empty) == parse(ListParameters, "")
    assert errors_of(MomentParameters, "timestamp=") == {"timestamp": ["This field is required."]}


def test_an_empty_value_of_a_marked_parameter_is_parsed() -> None:
    assert errors_of(ListParameters, "state=") == {
        "state": ["Select a valid choice.  is not one of the available choices."]
    }
    assert parse(GrowthParameters, "customers_count=").customers_count == ""


def test_the_last_value_of_a_single_valued_parameter_counts() -> None:
    assert parse(ListParameters, "year=2025&year=2026").year == 2026
    assert parse(ListParameters, "year=x&year=2026").year == 2026
    assert parse(ListParameters, "year=2025&year=").year is None


def test_orders_are_repeated_or_separated_by_commas() -> None:
    assert parse(ListParameters, "o=-year, month&o=&o=created").o == ("-year", "month", "created")


@given(st.integers(0, 500), st.integers(1, 400), st.integers(-3, 600))
def test_pages_cover_a_list_once(count: int, size: int, number: int) -> None:
    paging = parse(Paging, f"page={number}&page_size={size}")
    shown = min(size, 300)
    if 1 <= number <= max(1, -(-count // shown)):
        page = Page(paging, count)
        assert page.offset == (number - 1) * shown
        assert page.offset < count or count == 0
        assert (page.offset + page.size >= count) == (page.number == page.last)
    else:
        with pytest.raises(NotFound, match=r"Invalid page\."):
            Page(paging, count)


def test_fields_are_in_their_documented_order() -> None:
    assert parse(ListParameters, "").field == INVOICE_FIELDS
    assert parse(ListParameters, "field=").field == INVOICE_FIELDS
    assert parse(ListParameters, "field=x").field == INVOICE_FIELDS
    assert parse(ListParameters, "field=year&field=url&field=x&field=url").field == ("url", "year")


def test_numbers_may_have_signs_and_leading_zeros() -> None:
    assert parse(ListParameters, "year= +2026 ").year == 2026
    assert parse(ListParameters, "year=2026.00").year == 2026
    assert parse(ListParameters, f"year={'0' * 30}2026").year == 2026
    assert parse(ListParameters, f"page_size={'0' * 30}7").page_size == 7
    assert Page(parse(ListParameters, f"page={'0' * 30}1"), 0).number == 1
    assert parse(ListParameters, "min_sum=-.5").min_sum == Decimal("-0.5")
    assert parse(ListParameters, "min_sum=1e3").min_sum == 1000


@pytest.mark.parametrize("text", ["\u0662", "1_0", "0x1", "1,5", "inf", "--1", "1e", "."])
@pytest.mark.parametrize("name", ["year", "min_sum"])
def test_other_numbers_are_refused(name: str, text: str) -> None:
    assert errors_of(ListParameters, f"{name}={text}") == {name: ["Enter a number."]}


@given(st.integers(-(10**17), 10**17))
def test_an_integer_of_64_bits_is_exact(number: int) -> None:
    assert parse_integer(f"{number:+}") == number


def test_a_larger_integer_is_beyond_64_bits() -> None:
    assert parse_integer("9" * 5000) > 2**59
