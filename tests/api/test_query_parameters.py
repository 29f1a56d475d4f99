"""Query parameters: whatever is sent is either read or refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from app.api.errors import InvalidFields, NotFound
from app.api.pagination import Page, Paging
from app.api.query_parameters import FromQuery, QueryParameters
from app.invoices.api.filters import (
    GrowthParameters,
    ItemsParameters,
    ListParameters,
    RetrieveParameters,
    StatsParameters,
)
from app.invoices.schemas import FIELDS

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


@given(st.sampled_from(MODELS), st.lists(st.tuples(st.sampled_from(NAMES), values), max_size=8))
def test_anything_is_read_or_refused(
    model: type[QueryParameters], query: list[tuple[str, str]]
) -> None:
    refused = None
    try:
        read = FromQuery(model).read(QueryParams(query))
    except InvalidFields as error:
        refused = error.body
    if refused is None:
        assert isinstance(read, model)
        return
    assert set(refused) <= {name for name, _ in query}
    messages = [message for told in refused.values() for message in told]
    assert all(isinstance(message, str) and message for message in messages)


@given(st.integers(0, 500), st.integers(1, 400), st.integers(-3, 600))
def test_pages_cover_a_list_once(count: int, size: int, number: int) -> None:
    paging = FromQuery(Paging).read(QueryParams({"page": str(number), "page_size": str(size)}))
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
    read = FromQuery(ListParameters).read
    assert read(QueryParams("")).field == FIELDS
    assert read(QueryParams("field=")).field == FIELDS
    assert read(QueryParams("field=x")).field == FIELDS
    assert read(QueryParams("field=year&field=url&field=x&field=url")).field == ("url", "year")


def test_numbers() -> None:
    def read(query: str) -> ListParameters:
        return FromQuery(ListParameters).read(QueryParams(query))

    assert read("year= +2026 ").year == 2026
    assert read("year=2026.00").year == 2026
    assert read(f"year={'0' * 30}2026").year == 2026
    assert read(f"page_size={'0' * 30}7").page_size == 7
    assert Page(read(f"page={'0' * 30}1"), 0).number == 1
    assert read("min_sum=-.5").min_sum == Decimal("-0.5")
    assert read("min_sum=1e3").min_sum == 1000
    for bad in ("\u0662", "1_0", "0x1", "1,5", "inf", "--1", "1e", "."):
        for name in ("year", "min_sum"):
            with pytest.raises(InvalidFields) as refusal:
                read(f"{name}={bad}")
            assert refusal.value.body == {name: ["Enter a number."]}
