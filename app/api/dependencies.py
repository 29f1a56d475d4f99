"""Dependencies of routes: the settings, database connections and links.

Every dependency is `async` even if it awaits nothing, because FastAPI runs plain functions in a
thread, which costs more than the function itself.
"""

from collections.abc import AsyncIterator
from typing import Annotated, cast

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.middleware.proxy_headers import origin
from app.api.middleware.read_positions import READS
from app.api.serializers import Links, build_links
from app.database.engine import Database
from app.database.reads import Reads
from app.settings import Settings


async def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def _database(request: Request) -> Database:
    return cast(Database, request.app.state.database)


async def _reads(request: Request) -> Reads:
    reads: Reads = request.scope.get(READS, request.app.state.database)
    return reads


async def _reading(reads: Annotated[Reads, Depends(_reads)]) -> AsyncIterator[AsyncConnection]:
    async with reads.reading() as connection:
        yield connection


async def _links(request: Request) -> Links:
    return build_links(request.app.state.settings, origin(request).base)


CurrentSettings = Annotated[Settings, Depends(_settings)]
CurrentDatabase = Annotated[Database, Depends(_database)]
CurrentReads = Annotated[Reads, Depends(_reads)]
"""The reads of a request that changes nothing."""
Reading = Annotated[AsyncConnection, Depends(_reading, scope="function")]
"""A connection without a transaction, released before the response is sent."""
RequestLinks = Annotated[Links, Depends(_links)]
