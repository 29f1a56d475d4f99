"""Pagination: the parameters `page` and `page_size`, the headers `X-Result-Count` and `Link`."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import Request
from pydantic import Field, PlainValidator, WithJsonSchema

from app.api.errors import NotFound
from app.api.query_parameters import QueryParameters, invalid, parse_integer
from app.api.serializers import Links
from app.database.filter_set import FilterSet
from app.database.lists import SHALLOW_OFFSET, PageQuery

DEFAULT_PAGE_SIZE = 10
LARGEST_PAGE_SIZE = 300
NO_PAGE: Final = 0
"""The number of a page that cannot exist."""
INVALID_PAGE: Final = "Invalid page."


def _page(text: str) -> int | None:
    if text == "last":
        return None
    text = text.strip()
    return parse_integer(text) if text.isascii() and text.isdigit() else NO_PAGE


def _page_size(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise invalid("A valid integer is required.")
    size = parse_integer(text)
    if size < 1:
        raise invalid("Ensure this value is greater than or equal to 1.")
    return min(size, LARGEST_PAGE_SIZE)


class Paging(QueryParameters):
    """The requested page, which may not exist."""

    page: Annotated[
        int | None,
        PlainValidator(_page),
        WithJsonSchema({"type": "integer", "minimum": 1}),
    ] = Field(default=1, examples=[1])
    """A page number within the paginated result set, or `last`."""
    page_size: Annotated[
        int,
        PlainValidator(_page_size),
        WithJsonSchema({"type": "integer", "minimum": 1, "default": DEFAULT_PAGE_SIZE}),
    ] = Field(default=DEFAULT_PAGE_SIZE, examples=[10])
    """Number of results to return per page, at most 300."""


def page_query(parameters: Paging, filters: FilterSet, fields: tuple[str, ...]) -> PageQuery:
    """Return the page to read, in the order of the parameter `o`.

    Raises NotFound if a page with that number cannot exist.
    """
    if parameters.page == NO_PAGE:
        raise NotFound(INVALID_PAGE)
    order = getattr(parameters, "o", ())
    size, number = parameters.page_size, parameters.page
    is_deep = number is None or (number - 1) * size > SHALLOW_OFFSET
    return PageQuery(filters, order, fields, size, number, is_deep)


class Page:
    """One page of a list of known length."""

    def __init__(self, paging: Paging, count: int) -> None:
        """Find the page. Raises NotFound if it does not exist."""
        self.count = count
        self.size = paging.page_size
        self.last = max(1, -(-count // self.size))
        self.number = self.last if paging.page is None else paging.page
        if not 1 <= self.number <= self.last:
            raise NotFound(INVALID_PAGE)

    @property
    def offset(self) -> int:
        """The number of results before the page."""
        return (self.number - 1) * self.size

    def headers(self, request: Request, links: Links) -> dict[str, str]:
        """Return `X-Result-Count` and `Link`, whose absolute URLs keep every other parameter."""
        targets = {"first": 1}
        if self.number > 1:
            targets["prev"] = self.number - 1
        if self.number < self.last:
            targets["next"] = self.number + 1
        targets["last"] = self.last
        # Sorted by name, as in Waldur, so that equivalent requests have equal links.
        parameters = sorted(request.query_params.multi_items(), key=lambda pair: pair[0])
        before = urlencode([pair for pair in parameters if pair[0] < "page"])
        after = urlencode([pair for pair in parameters if pair[0] > "page"])
        base = f"{links.base}{request.scope['path']}"
        entries = []
        for rel, page in targets.items():
            parts = (before, f"page={page}" if page > 1 else "", after)
            query = "&".join(filter(None, parts))
            entries.append(f'<{base}{"?" if query else ""}{query}>; rel="{rel}"')
        return {"X-Result-Count": str(self.count), "Link": ", ".join(entries)}


def path_and_query(request: Request) -> tuple[str, bytes]:
    """Return what determines the links to other pages, besides their base."""
    return request.scope["path"], request.scope["query_string"]
