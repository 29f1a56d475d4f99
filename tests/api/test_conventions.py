"""The conventions of all operations: paths, methods, errors, compression, request ids."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.routing import iter_route_contexts
from sqlalchemy import text

from app import domain_errors
from app.api.errors import ApiError, TooLarge, UnsupportedMediaType, api_error_of
from app.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.support.clients import client_of
from tests.support.factories import Factories
from tests.support.proxy import postgresql_proxy

UUID = "5c3f2a10-0000-4000-8000-000000000000"


@pytest.fixture
def bare_app() -> FastAPI:
    """An application that is not started, for tests without a database."""
    return create_app(Settings(database_url="postgresql:///none", redis_url="unix:///none"))


@pytest.fixture
async def bare(bare_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(bare_app) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/api/invoices", "./invoices/"),
        ("/api/invoices?page=2&field=%C3%A4", "./invoices/?page=2&field=%C3%A4"),
        (f"/api/invoices/{UUID}", f"./{UUID}/"),
        (f"/api/invoices/{UUID}/paid", "./paid/"),
        ("/api/invoices/growth", "./growth/"),
        ("/api/invoices/http:%2F%2Fevil.example", None),
        ("/api/invoices/a%3Ab%20%C3%A4", "./a%3Ab%20%C3%A4/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_a_path_without_its_slash_is_redirected(
    method: str, path: str, location: str | None, bare: httpx.AsyncClient
) -> None:
    answer = await bare.request(method, path)
    if location is None:
        assert answer.status_code == 404
        return
    assert answer.status_code == 308
    assert answer.headers["location"] == location
    assert not str(answer.url.join(location)).endswith("//")
    assert answer.url.join(location).host == answer.url.host


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/", "/api/invoices//", f"/api/invoices/{UUID}/pay/", "//evil.example"],
)
async def test_an_unknown_path_is_not_found(path: str, bare: httpx.AsyncClient) -> None:
    answer = await bare.get(f"http://invoicing.example{path}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/invoices/", "GET, HEAD, OPTIONS"),
        ("PUT", "/api/invoices/growth/", "GET, HEAD, OPTIONS"),
        ("GET", "/api/invoices/import_usage/", "OPTIONS, POST"),
        ("PUT", "/api/invoice-items/costs/", "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/invoice-items/total_price/", "GET, HEAD, OPTIONS"),
        ("DELETE", f"/api/invoices/{UUID}/", "GET, HEAD, OPTIONS"),
        ("PATCH", f"/api/invoices/{UUID}/items/", "GET, HEAD, OPTIONS"),
        ("GET", f"/api/invoices/{UUID}/paid/", "OPTIONS, POST"),
        ("HEAD", f"/api/invoices/{UUID}/send_notification/", "OPTIONS, POST"),
        ("TRACE", "/health/live", "GET, HEAD, OPTIONS"),
        ("POST", "/api/docs/assets/favicon.png", "GET, HEAD, OPTIONS"),
    ],
)
async def test_other_methods_are_not_allowed(
    method: str, path: str, allowed: str, bare: httpx.AsyncClient
) -> None:
    answer = await bare.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    if method != "HEAD":
        assert answer.json() == {"detail": f'Method "{method}" not allowed.'}


def paths_of(app: FastAPI) -> dict[str, set[str]]:
    """Return the paths that the application serves, with the methods of their routes."""
    paths: dict[str, set[str]] = {}
    for route in iter_route_contexts(app.routes):
        if route.methods:
            path = (route.path or "").replace("{uuid}", UUID)
            paths.setdefault(path, {"OPTIONS"}).update(route.methods)
    return paths


async def test_options_lists_the_methods_of_every_path_without_a_token(
    bare_app: FastAPI, bare: httpx.AsyncClient
) -> None:
    paths = paths_of(bare_app)
    assert len(paths) > 14
    for path, methods in [*paths.items(), ("/api/docs/assets/favicon.png", {"GET", "HEAD"})]:
        answer = await bare.options(path)
        assert (answer.status_code, answer.content) == (204, b""), path
        assert set(answer.headers["allow"].split(", ")) == {*methods, "OPTIONS"}
        assert not {"content-type", "content-length", "www-authenticate"} & set(answer.headers)


@pytest.mark.parametrize(
    "path",
    ["/", "/api/", "/api/customers/", f"/api/invoices/{UUID}/pay/", "/api/docs/assets/", "*"],
)
async def test_options_on_an_unknown_path_is_not_found(path: str, bare: httpx.AsyncClient) -> None:
    for method in ("OPTIONS", "POST"):
        answer = await bare.request(method, f"http://invoicing.example/{path.lstrip('/')}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (domain_errors.NotFound("Gone."), 404, {"detail": "Gone."}),
        (domain_errors.WrongState("Late."), 409, {"detail": "Late."}),
        (domain_errors.RuleViolation("No."), 400, ["No."]),
        (domain_errors.InvalidArgument("Other."), 400, {"detail": "Other."}),
        (domain_errors.LimitExceeded("Big."), 413, {"detail": "Big."}),
        (domain_errors.RequestInProgress("Wait."), 409, {"detail": "Wait."}),
    ],
)
async def test_a_domain_error_becomes_a_response(
    error: domain_errors.DomainError, status: int, body: Any, bare_app: FastAPI
) -> None:
    @bare_app.get("/raise")
    async def fail() -> None:
        raise error

    async with client_of(bare_app) as client:
        answer = await client.get("/raise")
    assert (answer.status_code, answer.json()) == (status, body)


def test_each_kind_of_domain_error_has_a_status() -> None:
    own_messages: dict[type, Any] = {
        domain_errors.InvalidField: lambda message: domain_errors.InvalidField("sum", message),
        domain_errors.PermissionDenied: lambda _message: domain_errors.PermissionDenied(),
    }
    for kind in domain_errors.DomainError.__subclasses__():
        error = own_messages.get(kind, kind)("No.")
        assert api_error_of(error).status in (400, 403, 404, 409, 413, 503)


@pytest.mark.parametrize(
    "error",
    [
        TooLarge("Big."),
        UnsupportedMediaType("a/b"),
        ApiError(418, [1], {"A": "b"}),
    ],
)
async def test_an_api_error_becomes_a_response(error: ApiError, bare_app: FastAPI) -> None:
    @bare_app.get("/raise")
    async def fail() -> None:
        raise error

    async with client_of(bare_app) as client:
        answer = await client.get("/raise")
    assert (answer.status_code, answer.json()) == (error.status, error.body)
    assert error.headers.items() <= {k.title(): v for k, v in answer.headers.items()}.items()


async def test_an_unexpected_exception_is_logged_and_answered_with_500(bare_app: FastAPI) -> None:
    @bare_app.get("/fail")
    async def fail(request: Request) -> None:
        secret = "hunter2"
        raise RuntimeError(f"internals of {len(secret)}")

    with structlog.testing.capture_logs() as logged:
        async with client_of(bare_app) as client:
            answer = await client.get("/fail?token=abc", headers={"Authorization": "Token xyz"})
    assert answer.status_code == 500
    request_id = answer.headers["x-request-id"]
    assert answer.json() == {
        "detail": f"A server error occurred. It is in the log as request {request_id}."
    }
    assert [entry["event"] for entry in logged] == ["request failed", "request"]
    assert "abc" not in str(logged)
    assert "xyz" not in str(logged)


async def test_an_exception_during_a_response_breaks_the_connection(bare_app: FastAPI) -> None:
    class Half(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"[", "more_body": True})
            raise RuntimeError("lost")

    @bare_app.get("/half", response_class=Half)
    async def half() -> Response:
        return Half()

    async with client_of(bare_app) as client:
        with pytest.raises(RuntimeError, match="lost"):
            await client.get("/half")


async def test_a_valid_request_id_is_returned(bare: httpx.AsyncClient) -> None:
    given = await bare.get("/health/live", headers={"X-Request-ID": "abc-1.2_3"})
    assert given.headers["x-request-id"] == "abc-1.2_3"
    odd: Any
    for odd in ("a b", "x" * 65, "ä".encode(), ""):
        answer = await bare.get("/health/live", headers={"X-Request-ID": odd})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


async def test_the_request_log_has_no_query(bare: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        await bare.get("/health/live?token=abc", headers={"X-Request-ID": "one"})
    (entry,) = logged
    assert entry.pop("milliseconds") >= 0
    assert entry == {
        "event": "request",
        "log_level": "info",
        "operation": "live",
        "method": "GET",
        "path": "/health/live",
        "user": None,
        "status": 200,
        "request_id": "one",
    }


async def test_the_documentation_page_loads_only_own_assets(
    bare: httpx.AsyncClient,
) -> None:
    page = await bare.get("/api/docs")
    assert page.status_code == 200
    assert not re.search(r"https?://", page.text)
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(assets) == 3
    (schema,) = re.findall(r"url: '([^']+)'", page.text)
    # The URLs are relative, because a gateway may add a path prefix.
    assert not any(name.startswith("/") for name in (*assets, schema))
    for name in assets:
        assert (await bare.get(urljoin("/api/docs", name))).status_code == 200
    document = await bare.get(urljoin("/api/docs", schema))
    assert document.json()["openapi"].startswith("3.1")


async def test_responses_are_compressed(make: Factories, client: httpx.AsyncClient) -> None:
    invoice = await make.invoice(await make.customer())
    for _ in range(20):
        await make.item(invoice)
    headers = (await make.staff()).headers
    paths = ("/api/invoices/", f"/api/invoices/{invoice.uuid}/items/")
    for path in paths:
        plain = await client.get(path, headers={**headers, "Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        for encoding in ("gzip", "zstd"):
            answer = await client.get(path, headers={**headers, "Accept-Encoding": encoding})
            assert answer.headers["content-encoding"] == encoding
            assert "accept-encoding" in answer.headers["vary"].lower()
            # httpx decodes gzip, and zstd only with an additional library.
            if encoding == "gzip":
                assert answer.json() == plain.json()


def comparable_headers(answer: httpx.Response) -> dict[str, str]:
    """Return the headers that do not depend on the body or on the single request."""
    others = ("content-length", "content-encoding", "x-request-id", "ratelimit")
    return {name: value for name, value in answer.headers.items() if name not in others}


@pytest.mark.parametrize("items", [1, 20])
async def test_head_has_headers_of_get(
    items: int, make: Factories, client: httpx.AsyncClient
) -> None:
    invoice = await make.invoice(await make.customer())
    for _ in range(items):
        await make.item(invoice)
    headers = {**(await make.staff()).headers, "Accept-Encoding": "gzip"}
    one = f"/api/invoices/{invoice.uuid}/"
    listed = "/api/invoices/?field=uuid&field=items"
    for path in (listed, one, f"{one}items/", f"{one}stats/", "/api/invoices/growth/", "/api/docs"):
        get, head = [await client.request(m, path, headers=headers) for m in ("GET", "HEAD")]
        assert (get.status_code, head.status_code, head.content) == (200, 200, b""), path
        expected = comparable_headers(get)
        if "content-encoding" in get.headers and "etag" in expected:
            # HEAD does not know whether the body would be compressed.
            expected["etag"] = expected["etag"].replace('-gzip"', '"')
        del expected["content-type"]
        assert comparable_headers(head) == expected, path
        if path != "/api/docs":
            assert head.headers["vary"] == "Accept-Encoding"


async def test_a_response_to_head_has_no_content_type_and_no_body(
    bare_app: FastAPI, bare: httpx.AsyncClient
) -> None:
    """A JavaScript client that sees a JSON content type fails on an empty body."""
    paths = [path for path, methods in paths_of(bare_app).items() if "HEAD" in methods]
    others = [f"/api/invoices/{UUID}/paid/", "/nowhere/", "/api/docs/assets/favicon.png"]
    statuses = set()
    for path in [path for path in paths if path != "/health/ready"] + others:
        answer = await bare.head(path)
        statuses.add(answer.status_code)
        assert answer.content == b""
        assert "content-type" not in answer.headers, path
    assert statuses == {200, 401, 404, 405, 500}


async def test_health(
    bare: httpx.AsyncClient, client: httpx.AsyncClient, app: FastAPI, settings: Settings
) -> None:
    assert (await bare.get("/health/live")).json() == {"status": "ok"}
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "redis": "ok"}
    assert (await client.head("/health/ready")).status_code == 200

    async with app.state.database.transaction() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = 'of tomorrow'"))
    assert (await client.get("/health/ready")).status_code == 200
    async with app.state.database.transaction() as connection:
        await connection.execute(text("DELETE FROM alembic_version"))
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["database"]) == (503, "not migrated")
    async with app.state.database.transaction() as connection:
        await connection.execute(text("DROP TABLE alembic_version"))
    assert (await client.get("/health/ready")).json()["database"] == "not migrated"

    away = create_app(
        settings.model_copy(
            update={
                "redis_url": "unix:///nowhere",
                "database_url": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
            }
        )
    )
    async with away.router.lifespan_context(away), client_of(away) as client_of_away:
        answer = await client_of_away.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "database": "unreachable",
        "redis": "unreachable",
    }


async def test_a_database_that_hangs_is_told_in_time(make: Factories, settings: Settings) -> None:
    headers = (await make.staff()).headers
    async with postgresql_proxy(settings.database_url) as proxy:
        hanging = create_app(
            settings.model_copy(update={"database_url": proxy.url, "database_pool_timeout": 1})
        )
        async with hanging.router.lifespan_context(hanging), client_of(hanging) as client:
            assert (await client.get("/health/ready")).status_code == 200
            proxy.forwards_replies.clear()
            # On the connection that is there, and on one that is to be made.
            for _ in range(2):
                async with asyncio.timeout(30):
                    answer = await client.get("/health/ready")
                assert (answer.status_code, answer.json()["database"]) == (503, "unreachable")
            async with asyncio.timeout(30):
                await assert_unavailable(client, headers)
            proxy.forwards_replies.set()
            assert (await client.get("/health/ready")).status_code == 200


async def assert_unavailable(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/api/invoices/", headers=headers)
    assert answer.status_code == 503
    assert answer.json() == {"detail": "The database is not available now. Try again."}
    assert int(answer.headers["retry-after"]) > 0


async def test_a_database_that_is_away_full_or_slow(
    make: Factories, settings: Settings, database: Database
) -> None:
    headers = (await make.staff()).headers
    narrow = settings.model_copy(
        update={
            "database_pool_size": 1,
            "database_pool_timeout": 1,
            "database_statement_timeout": 1,
        }
    )
    app = create_app(narrow)
    async with app.router.lifespan_context(app), client_of(app) as client:
        pool = app.state.database
        async with pool.reading():
            await assert_unavailable(client, headers)  # no connection is free
        assert (await client.get("/api/invoices/", headers=headers)).is_success

        async with pool.reading() as connection:
            backend = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        async with database.reading() as operator:
            await operator.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        await asyncio.sleep(0.1)
        await assert_unavailable(client, headers)  # the connection broke
        assert (await client.get("/api/invoices/", headers=headers)).is_success

        async with database.transaction() as locked:
            await locked.execute(text("LOCK TABLE invoices IN ACCESS EXCLUSIVE MODE"))
            await assert_unavailable(client, headers)  # the statement took too long
        assert (await client.get("/api/invoices/", headers=headers)).is_success

    nowhere = narrow.model_copy(
        update={"database_url": "postgresql+asyncpg://nobody@127.0.0.1:1/none"}
    )
    app = create_app(nowhere)
    async with app.router.lifespan_context(app), client_of(app) as client:
        await assert_unavailable(client, headers)
