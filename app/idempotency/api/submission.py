"""One request that changes data, in one transaction.

The transaction holds the change, the audit record of its actor, and, under an `Idempotency-Key`,
the stored response. The response is rendered before the commit, so that it shows the state that was
committed.

The checks have one order: the token, the caller's role, the record and its state, the body,
`If-Match`, the rules of the action. `docs/architecture.md` shows how a router declares a change.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from app.api.caching import etags
from app.api.caching.conditional_get import ConditionalGet
from app.api.collections import Collection, RecordUuid
from app.api.errors import NotFound, PreconditionFailed
from app.api.middleware.request_log import request_id_of
from app.api.multipart import FileReceiver
from app.api.rendered_response import RenderedResponse
from app.api.request_body import RequestBody, parse_body
from app.api.request_model import BodyContext, RequestModel, validate_body
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.database.engine import Connection
from app.database.lists import Row
from app.domain_errors import WrongState
from app.formats import parse_uuid
from app.idempotency import repository
from app.idempotency.api.keys import HEADER, REPLAYED, key_of_request, request_digest
from app.idempotency.repository import IdempotencyKey, ResponseData
from app.identity.api.authentication import Require, require_staff
from app.identity.caller import Caller

RecordT = TypeVar("RecordT")
BodyT = TypeVar("BodyT", bound=RequestModel)


@dataclass(frozen=True, slots=True)
class Resource(Generic[RecordT]):
    """A kind of record that requests change."""

    name: str
    """The name in prose, such as `payment profile`."""
    collection: str
    """The name in URLs."""
    etag: Callable[[Connection, ConditionalGet, Caller, RecordT], Awaitable[str]] | None = None
    """Locks the record until the transaction ends, and returns the ETag that its retrieve operation
    sends. None if no request is conditional."""
    render: Callable[[Connection, ConditionalGet, Caller, UUID], Awaitable[bytes]] | None = None
    """Renders a record as its retrieve operation does, from the state of the transaction. None if
    records are neither created nor updated."""


def resource_of(
    collection: Collection[Caller],
    name: str,
    lock: Callable[[Connection, UUID], Awaitable[object]],
) -> Resource[Row]:
    """Return the resource of a collection. `lock` locks a record until the transaction ends."""

    async def etag(connection: Connection, get: ConditionalGet, caller: Caller, row: Row) -> str:
        await lock(connection, row["uuid"])
        return etags.etag_of(await render(connection, get, caller, row["uuid"]))

    async def render(
        connection: Connection, get: ConditionalGet, caller: Caller, uuid: UUID
    ) -> bytes:
        row = await collection.find(connection, caller, str(uuid))
        return collection.encode(row, get.response_format)

    return Resource(name, collection.name, etag, render)


@dataclass(slots=True)
class Submission(Generic[RecordT]):
    """A request that changes data, by a caller whose role permits it."""

    request: Request
    caller: Caller
    key: IdempotencyKey | None
    resource: Resource[RecordT]
    record: RecordT
    """The record in the path, as it was before the body was read; of a collection, None.

    Read it in the change: before, it is None if the request has a `refusal`."""
    subject: str = ""
    """The UUID of the record in the path, or an empty text."""
    refusal: Exception | None = None
    """The error of a check that precedes the body. An earlier request with the key may have passed
    the check."""
    rendered: RenderedResponse | None = None
    """The response to the change, once it is made; its transaction may not be committed yet."""
    _digest: bytes = b""

    async def create(
        self, model: type[BodyT], action: Callable[[Connection, BodyT], Awaitable[UUID]]
    ) -> Response:
        """Create a record by an action that returns its UUID; the response is 201."""
        body = await self.read(model)
        if isinstance(body, Response):
            return body

        async def change(connection: Connection) -> RenderedResponse:
            return await self.render_created(connection, await action(connection, body))

        return await self.run_once(change)

    async def update(
        self,
        model: type[BodyT],
        action: Callable[[Connection, BodyT], Awaitable[object]],
        *,
        lock: Callable[[Connection, BodyT], Awaitable[object]] | None = None,
    ) -> Response:
        """Change fields of the record; the response shows it after the change.

        `lock` takes the locks of the action in their order, if it locks more than `If-Match` does.
        """
        body = await self.read(model)
        if isinstance(body, Response):
            return body

        async def change(connection: Connection) -> RenderedResponse:
            await action(connection, body)
            return await self.render_updated(connection)

        return await self.run_once(change, conditional=True, lock=_with_body(lock, body))

    async def destroy(self, action: Callable[[Connection], Awaitable[object]]) -> Response:
        """Delete the record; the response is 204. A body is ignored."""
        replay = await self.find_replay(RequestBody({}))
        if replay is not None:
            return replay

        async def change(connection: Connection) -> RenderedResponse:
            await action(connection)
            return RenderedResponse(status=204)

        return await self.run_once(change, conditional=True)

    async def act(
        self,
        model: type[BodyT],
        action: Callable[[Connection, BodyT], Awaitable[BaseModel | None]],
        *,
        status: int = 200,
        notifies_worker: bool = False,
        lock: Callable[[Connection, BodyT], Awaitable[object]] | None = None,
    ) -> Response:
        """Run an action; the response is the model that it returns, or has no body.

        `notifies_worker` says whether the action records jobs in the outbox that are due at once;
        `lock` is as in `update`.
        """
        body = await self.read(model)
        if isinstance(body, Response):
            return body
        return await self._act(
            lambda connection: action(connection, body),
            status,
            conditional=bool(self.subject),
            notifies_worker=notifies_worker,
            lock=_with_body(lock, body),
        )

    async def act_without_body(
        self,
        action: Callable[[Connection], Awaitable[BaseModel | None]],
        *,
        status: int = 200,
        conditional: bool = True,
        notifies_worker: bool = False,
    ) -> Response:
        """Run an action on the record, without parameters: a body is ignored."""
        replay = await self.find_replay(RequestBody({}))
        if replay is not None:
            return replay
        return await self._act(
            action, status, conditional=conditional, notifies_worker=notifies_worker
        )

    async def _act(
        self,
        action: Callable[[Connection], Awaitable[BaseModel | None]],
        status: int,
        *,
        conditional: bool,
        notifies_worker: bool,
        lock: Callable[[Connection], Awaitable[object]] | None = None,
    ) -> Response:
        async def change(connection: Connection) -> RenderedResponse:
            result = await action(connection)
            if result is None:
                return RenderedResponse(status=status)
            links = ConditionalGet(self.request).links
            return RenderedResponse(result.model_dump_json(context=links).encode(), status=status)

        response = await self.run_once(change, conditional=conditional, lock=lock)
        if notifies_worker:
            await self.request.app.state.notifier.notify_worker()
        return response

    def refuse(self, error: Exception) -> None:
        """Refuse the request for the state of its record, before the body is read.

        Under a key the error is raised later, unless the request repeats an earlier one.
        """
        if self.key is None:
            raise error
        self.refusal = error

    async def read(self, model: type[BodyT], files: FileReceiver | None = None) -> BodyT | Response:
        """Return the validated body, or the stored response if the request is a repetition.

        Raises what `parse_body`, `find_replay` and `validate_body` raise.
        """
        body = await parse_body(self.request, files)
        replay = await self.find_replay(body)
        if replay is not None:
            return replay
        currency = self.request.app.state.settings.currency
        return validate_body(model, body, BodyContext(files, currency.decimals))

    async def find_replay(self, body: RequestBody) -> Response | None:
        """Return the stored response to the same request under the same key, if any.

        Call it as soon as the body is read, before any check that the first request passed and its
        repetition might not. Raises `KeyReused` and the refusal of the request, if any.
        """
        if self.key is None:
            return None
        operation = self.request.scope["route"].operation_id
        self._digest = request_digest(operation, self.subject, self.request, body)
        async with self.request.app.state.database.reading() as connection:
            earlier = await repository.find_response(connection, self.key, self._digest)
        if earlier is not None:
            return RenderedResponse(*earlier).response(REPLAYED)
        if self.refusal is not None:
            raise self.refusal
        return None

    async def run_once(
        self,
        change: Callable[[Connection], Awaitable[RenderedResponse]],
        *,
        conditional: bool = False,
        lock: Callable[[Connection], Awaitable[object]] | None = None,
    ) -> Response:
        """Make the change in a transaction and return its response; under a key, at most once.

        A conditional request honours `If-Match`, which locks the record after `lock`.

        Raises what `change` raises, `KeyInUse`, `KeyReused`, `PreconditionFailed`, and
        `DatabaseUnavailable`, after which the transaction may or may not be committed.
        """
        request, caller, state = self.request, self.caller, self.request.app.state
        impersonator = caller.impersonator
        actor = Actor(
            operation=request.scope["route"].operation_id,
            user_uuid=caller.user_uuid,
            username=caller.username,
            token=caller.token,
            request_id=request_id_of(request),
            impersonator_uuid=impersonator.uuid if impersonator else None,
            impersonator_username=impersonator.username if impersonator else "",
        )
        recorded = audited_transaction(state.database, state.settings.audit_key, actor)
        async with recorded as connection:
            if self.key is not None:
                await repository.lock_key(connection, self.key)
                earlier = await repository.find_response(connection, self.key, self._digest)
                if earlier is not None:
                    return RenderedResponse(*earlier).response(REPLAYED)
            if conditional and "if-match" in request.headers:
                if lock is not None:
                    await lock(connection)
                await self._require_match(connection)
            self.rendered = rendered = await change(connection)
            if self.key is not None:
                data = ResponseData(
                    rendered.body, rendered.is_compressed, rendered.status, rendered.headers
                )
                await repository.store_response(connection, self.key, self._digest, data)
        return rendered.response()

    async def render_updated(self, connection: Connection) -> RenderedResponse:
        """Render the record as the transaction sees it."""
        return RenderedResponse(await self._render(connection, UUID(self.subject)))

    async def render_created(self, connection: Connection, uuid: UUID) -> RenderedResponse:
        """Render a new record: 201, with its `Location`."""
        body = await self._render(connection, uuid)
        location = ConditionalGet(self.request).links.record(self.resource.collection, uuid)
        return RenderedResponse(body, status=201, headers={"Location": location})

    async def _render(self, connection: Connection, uuid: UUID) -> bytes:
        assert self.resource.render is not None  # noqa: S101 - for the type checker
        return await self.resource.render(
            connection, ConditionalGet(self.request), self.caller, uuid
        )

    async def _require_match(self, connection: Connection) -> None:
        """Lock the record and compare its ETag with `If-Match`; raises `PreconditionFailed`."""
        expected = ", ".join(self.request.headers.getlist("if-match"))
        if not expected:
            return
        get = ConditionalGet(self.request)
        assert self.resource.etag is not None  # noqa: S101 - for the type checker
        etag = await self.resource.etag(connection, get, self.caller, self.record)
        if not etags.permits(expected, etag):
            raise PreconditionFailed(f"The {self.resource.name} has changed meanwhile.")


def _with_body(
    lock: Callable[[Connection, BodyT], Awaitable[object]] | None, body: BodyT
) -> Callable[[Connection], Awaitable[object]] | None:
    return None if lock is None else lambda connection: lock(connection, body)


def submission_to(
    resource: Resource[Any], admits: Require = require_staff
) -> Callable[..., Awaitable[Submission[None]]]:
    """Return the dependency of an operation on the collection of a resource."""

    async def submission(
        request: Request, caller: Annotated[Caller, Depends(admits)]
    ) -> Submission[None]:
        key = key_of_request(request, caller) if HEADER in request.headers else None
        return Submission(request, caller, key, resource, None)

    return submission


def submission_on(
    resource: Resource[RecordT],
    find: Callable[[Connection, Caller, str], Awaitable[RecordT]],
    admits: Require = require_staff,
) -> Callable[..., Awaitable[Submission[RecordT]]]:
    """Return the dependency of an operation on one record of a resource.

    `find` returns the record with a UUID, given as text, that the caller may see. It raises
    `NotFound`, and may raise `PermissionDenied` for a caller who may see the record but not change
    it, and `WrongState` for a record that does not change in its state.
    """

    async def submission(
        request: Request, caller: Annotated[Caller, Depends(admits)], uuid: RecordUuid
    ) -> Submission[RecordT]:
        key = key_of_request(request, caller) if HEADER in request.headers else None
        found = Submission(
            request, caller, key, resource, cast(RecordT, None), str(parse_uuid(uuid))
        )
        try:
            # A connection for this alone: an upload may follow.
            async with request.app.state.database.reading() as connection:
                found.record = await find(connection, caller, uuid)
        except (NotFound, WrongState) as error:
            found.refuse(error)
        return found

    return submission
