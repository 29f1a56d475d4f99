"""Collections: the operations list, count and retrieve over one kind of record, declared.

A package declares a `Collection` over the rows that a caller may see, and adds its operations to a
router. See "Add a list" in docs/architecture.md.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import TypeAdapter

from app.api.caching.conditional_get import ConditionalGet, Representation, Resource
from app.api.errors import NotFound
from app.api.operation_docs import LIST_HEADERS, NO_BODY, document_read
from app.api.pagination import Page, Paging, page_query
from app.api.query_parameters import QueryParameters, QueryParser
from app.api.response_format import ResponseFormat
from app.database.engine import Connection
from app.database.filter_set import NO_FILTERS, FilterSet
from app.database.lists import PageQuery, Row, RowPage, RowQuery
from app.formats import parse_uuid

CallerT = TypeVar("CallerT")
CallerT_contra = TypeVar("CallerT_contra", contravariant=True)
RecordUuid = Annotated[
    str,
    Path(
        description="The record's UUID, with or without hyphens.",
        json_schema_extra={"format": "uuid"},
    ),
]
"""Any text: one that is no UUID names a record that does not exist."""
_NO_FILTERS: Final = frozenset({*Paging.model_fields, "o", "field"})


class CallersRows(Protocol[CallerT_contra]):
    """A list of rows, as each caller sees it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields of a row."""

    async def read_page(
        self, connection: Connection, caller: CallerT_contra, query: PageQuery
    ) -> RowPage:
        """Return a page of the rows that the caller may see."""

    async def read_one(
        self, connection: Connection, caller: CallerT_contra, query: RowQuery
    ) -> Row | None:
        """Return one row; None if it does not exist, is not visible, or a filter excludes it."""


def plain_filters(parameters: QueryParameters) -> FilterSet:
    """Return the conditions of all parameters that have a value, each under its own name.

    A repeated parameter has a list of values.
    """
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in parameters
        if name not in _NO_FILTERS and value is not None and value != ()
    }
    return FilterSet(tuple(values), values)


def select_fields(
    row: Row, fields: Sequence[str], _response_format: ResponseFormat
) -> dict[str, Any]:
    """Return the fields of a row as a record."""
    return {name: row[name] for name in fields}


@dataclass(frozen=True, eq=False)
class Collection(Generic[CallerT]):
    """The records of one kind, and how they are shown."""

    name: str
    """The last segment of the path. With underscores it begins the operation ids."""
    schema: Any
    """The schema of a record, a TypedDict."""
    rows: CallersRows[CallerT]
    require: Callable[..., Awaitable[CallerT]]
    """The dependency that returns the caller, if the caller may use the collection."""
    filter_set: Callable[[Any], FilterSet] = plain_filters
    """Returns the conditions of the parameters of the list."""
    record: Callable[[Row, tuple[str, ...], ResponseFormat], dict[str, Any]] = select_fields
    """Returns a row as a record with these fields."""
    noun: str = ""
    """The kind of record in error messages; by default the name of the schema."""

    @cached_property
    def _record_adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.schema)

    @cached_property
    def _list_adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(list[self.schema])  # type: ignore[name-defined]  # known at run time

    def encode(
        self, row: Row, response_format: ResponseFormat, fields: tuple[str, ...] = ()
    ) -> bytes:
        """Return a row as JSON, by default with all fields.

        Its `etag_of` is the ETag with which a retrieval sends it.
        """
        record = self.record(row, fields or self.rows.fields, response_format)
        return self._record_adapter.dump_json(record, context=response_format.links)

    async def find(
        self,
        connection: Connection,
        caller: CallerT,
        uuid: str,
        fields: tuple[str, ...] = (),
        filters: FilterSet = NO_FILTERS,
    ) -> Row:
        """Return the row with a UUID; raises NotFound if the caller may not see one."""
        parsed = parse_uuid(uuid)
        row = None
        if parsed is not None:
            query = RowQuery(parsed, fields or self.rows.fields, filters)
            row = await self.rows.read_one(connection, caller, query)
        if row is None:
            raise NotFound(f"No {self.noun or self.schema.__name__} matches the given query.")
        return row

    async def list(
        self, request: Request, caller: CallerT, parameters: Any, filters: FilterSet | None = None
    ) -> Response:
        """Return the response with a page of the records.

        `filters` are those of the parameters by default. Raises NotFound if there is no such page.
        """
        get = ConditionalGet(request)
        fields = getattr(parameters, "field", self.rows.fields)
        filters = self.filter_set(parameters) if filters is None else filters
        query = page_query(parameters, filters, fields)

        def represent(page: RowPage) -> Representation:
            headers = Page(parameters, page.count).headers(request, get.links)
            records = [self.record(row, fields, get.response_format) for row in page.rows]
            body = self._list_adapter.dump_json(records, context=get.links)
            return Representation.of_body(body, headers)

        select = partial(self.rows.read_page, caller=caller, query=query)
        return await get.respond(Resource(select, represent, in_snapshot=query.is_deep))

    async def retrieve(
        self,
        request: Request,
        caller: CallerT,
        uuid: str,
        fields: tuple[str, ...] = (),
        filters: FilterSet = NO_FILTERS,
    ) -> Response:
        """Return the response with one record; raises NotFound if the caller may not see it."""
        get = ConditionalGet(request)

        def represent(row: Row) -> Representation:
            return Representation.of_body(self.encode(row, get.response_format, fields))

        select = partial(self.find, caller=caller, uuid=uuid, fields=fields, filters=filters)
        return await get.respond(Resource(select, represent))


def add_list(
    router: APIRouter,
    collection: Collection[Any],
    parameters: type[Paging],
    *,
    summary: str,
) -> None:
    """Add the operations list (GET) and count (HEAD) to the router of the collection."""
    caller_dependency = Depends(collection.require)
    parsed = Depends(QueryParser(parameters))

    async def list_records(
        request: Request, caller: Any = caller_dependency, parameters: Any = parsed
    ) -> Response:
        return await collection.list(request, caller, parameters)

    prefix = collection.name.replace("-", "_")
    router.add_api_route(
        "/",
        list_records,
        methods=["GET"],
        operation_id=f"{prefix}_list",
        summary=summary,
        response_model=list[collection.schema],  # type: ignore[name-defined]  # known at run time
        **document_read("A page of the list.", LIST_HEADERS),
    )
    router.add_api_route(
        "/",
        list_records,
        methods=["HEAD"],
        operation_id=f"{prefix}_count",
        summary=f"{summary}: count",
        description="Get number of items in the collection matching the request parameters.",
        **document_read(NO_BODY, LIST_HEADERS),
    )


def add_retrieve(router: APIRouter, collection: Collection[Any], *, summary: str) -> None:
    """Add the operation retrieve (GET, HEAD) to the router of the collection."""
    caller_dependency = Depends(collection.require)

    async def retrieve_record(
        request: Request, uuid: RecordUuid, caller: Any = caller_dependency
    ) -> Response:
        return await collection.retrieve(request, caller, uuid)

    router.add_api_route(
        "/{uuid}/",
        retrieve_record,
        methods=["GET"],
        operation_id=f"{collection.name.replace('-', '_')}_retrieve",
        summary=summary,
        response_model=collection.schema,
        **document_read("The record."),
    )
    router.add_api_route("/{uuid}/", retrieve_record, methods=["HEAD"], include_in_schema=False)
