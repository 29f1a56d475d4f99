"""The OpenAPI document and its pages: what FastAPI derives, completed by this API's conventions."""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, RootModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.api.permissions import IMPERSONATED_USER, Access, access_of, dependencies_of
from app.api.query_parameters import FromQuery
from app.api.serializers import AMOUNT, decimal_pattern
from app.billing.currencies import Currency, get_currency

SCHEMA_PATH = "/api/schema.json"
DOCS_PATH = "/api/docs"
_REFERENCE = "#/components/schemas/{model}"
_DESCRIPTION = """\
Invoices of a cloud or of usage-billed services: what Waldur documents under `/api/invoices/`.

Send a token as `Authorization: Token KEY`. Amounts are in the deployment's one currency.
"""

_bodies: dict[str, type[BaseModel]] = {}


class ErrorDetail(BaseModel):
    """What went wrong, in words."""

    detail: str


class FieldErrors(RootModel[dict[str, list[str]]]):
    """What is wrong with each field or parameter."""


class RuleErrors(RootModel[list[str]]):
    """A rule that is no field's."""


_ERRORS = {
    400: "The parameters or the body are wrong, or a rule forbids it.",
    401: "There is no good token.",
    403: "The caller's role does not allow it.",
    404: "There is no such invoice or page, or not for this caller.",
    409: "The state of the invoice does not allow it, or a request under the same key is running.",
    412: "The invoice is not as `If-Match` says.",
    413: "The body is too large.",
    415: "The body is of a media type that is not read.",
    416: "The part that `Range` asks for is not in the file.",
    429: "There were more requests than are let in.",
    500: "The service failed; the answer has an id to find it in the log.",
    503: "The database, or the disk with the proofs of payment, is not available now.",
}
_MOST_DIGITS = 20
"""Before the point of an amount."""
NO_BODY = "No response body"
NOT_MODIFIED = "The client has the answer already; no response body"
"""The descriptions of responses without one."""
LIST_HEADERS = {
    "X-Result-Count": {
        "description": "Total number of results available",
        "schema": {"type": "integer"},
        "example": 42,
    },
    "Link": {
        "description": "The pages `first`, `prev`, `next` and `last`, where they exist (RFC 8288)",
        "schema": {"type": "string"},
        "example": '<https://api.example.com/api/invoices/?page=2>; rel="next"',
    },
}
COUNT_HEADER = {"X-Result-Count": LIST_HEADERS["X-Result-Count"]}
_VALIDATOR_HEADERS = {
    "ETag": {
        "description": "A strong validator of the answer, for `If-None-Match` (RFC 9110)",
        "schema": {"type": "string"},
        "example": '"d4f7c1d1a5b0c3e2f6a7984512e0b3c9"',
    },
    "Cache-Control": {
        "description": "`private, no-cache`: kept by the client alone, and asked for again",
        "schema": {"type": "string"},
    },
}
_RATE_LIMIT_HEADERS = {
    "RateLimit-Policy": {
        "description": "The limit that the request counts on: its quota and window in seconds",
        "schema": {"type": "string"},
        "example": '"token";q=6000;w=60',
    },
    "RateLimit": {
        "description": "What is left of it, and the seconds until it is renewed",
        "schema": {"type": "string"},
        "example": '"token";r=5999;t=42',
    },
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of an answer that is there already: 304 if it is still true",
    "schema": {"type": "string"},
}

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names the request, so that it can be sent again: for 24 hours, the same request"
    " under the same key is answered as the first time and changes nothing more. Choose another one"
    " for each thing that is to happen, such as a random UUID",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "pattern": "^[!-~]([ -~]*[!-~])?$",
    },
}
_IMPERSONATED_USER = {
    "name": IMPERSONATED_USER,
    "in": "header",
    "required": False,
    "description": "The UUID of an active user as whom the request is done, with that user's access"
    " and rights; the record of changes names both. From anybody but staff it is ignored",
    "schema": {"type": "string", "format": "uuid"},
}
_REPEATED_HEADER = {
    "Idempotent-Replayed": {
        "description": "`true` where the answer is that of an earlier request under the same key",
        "schema": {"type": "string"},
    }
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the invoice, whole, as it was read: 412 if it changed meanwhile",
    "schema": {"type": "string"},
}


def application(
    version: str, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]
) -> FastAPI:
    """Return an application that documents itself, with pages that need no other site."""
    app = FastAPI(
        title="Cloud invoicing",
        version=version,
        description=_DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[
            {"name": "invoices", "description": "Invoices, their items and sums."},
            {"name": "payments", "description": "What was paid."},
        ],
        openapi_url=SCHEMA_PATH,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.mount(f"{DOCS_PATH}/assets", _Assets(packages=[("fastapi_offline", "static")]))

    # Named from the page on, so that a gateway's prefix before them does not matter.
    page = get_swagger_ui_html(
        title=app.title,
        openapi_url="schema.json",
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon.png",
    ).body
    policy = {"Content-Security-Policy": _page_policy(bytes(page).decode())}

    @app.get(DOCS_PATH, include_in_schema=False)
    @app.head(DOCS_PATH, include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=policy)

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to extend the document
    return app


class _Assets(StaticFiles):
    """Files of the page, which tell what methods they have as every other path does."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file; raises HTTPException with 404, or with 405 for another method."""
        if scope["method"] in ("GET", "HEAD"):
            return await super().get_response(path, scope)
        await super().get_response(path, {**scope, "method": "HEAD"})
        raise HTTPException(405, headers={"Allow": "GET, HEAD, OPTIONS"})


def _page_policy(page: str) -> str:
    """Return what a browser may do for the page: run its own scripts, and call this API."""
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = [b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in hashes)])
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    )


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of error responses, for a route's `responses`.

    401, 403, 429, 500 and 503 are documented for every operation where they can happen.
    """
    return {status: _error_response(status) for status in statuses}


def validated(description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the documentation of a read that has a validator, to be given to its route whole."""
    known = {"headers": _VALIDATOR_HEADERS}
    return {
        "responses": {
            200: {"description": description, "headers": {**(headers or {}), **_VALIDATOR_HEADERS}},
            304: {"description": NOT_MODIFIED, **known},
            **error_responses(400, 404),
        },
        "openapi_extra": {"parameters": [_IF_NONE_MATCH]},
    }


def changing(
    description: str, body: dict[str, Any] | None = None, *, conditional: bool = False
) -> dict[str, Any]:
    """Return the documentation of a change of one invoice, to be given to its route whole.

    `body` is what `request_body` returns; `conditional` tells whether `If-Match` counts.
    """
    statuses = [400, 404, 409]
    if body is not None:
        statuses += [413, 415]
    if conditional:
        statuses.append(412)
    return {
        "responses": {
            200: {"description": description, "headers": _REPEATED_HEADER},
            **error_responses(*statuses),
        },
        "openapi_extra": {
            "parameters": [_IDEMPOTENCY_KEY, *([_IF_MATCH] if conditional else [])],
            **(body or {}),
        },
    }


def request_body(
    *,
    json: type[BaseModel],
    form: type[BaseModel] | None = None,
    multipart: type[BaseModel] | None = None,
    required: bool = False,
) -> dict[str, Any]:
    """Return the documentation of a body that a route reads itself, for its `openapi_extra`.

    The models become components, by the names of their classes.
    """
    models = {
        "application/json": json,
        "application/x-www-form-urlencoded": form,
        "multipart/form-data": multipart,
    }
    content = {}
    for media_type, model in models.items():
        if model is not None:
            _bodies[model.__name__] = model
            content[media_type] = {"schema": _reference(model)}
    return {"requestBody": {"content": content, "required": required}}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _error_response(status: int) -> dict[str, Any]:
    schema: dict[str, Any] = _reference(ErrorDetail)
    if status == 400:
        schema = {"anyOf": [_reference(m) for m in (FieldErrors, RuleErrors, ErrorDetail)]}
    response: dict[str, Any] = {
        "description": _ERRORS[status],
        "content": {"application/json": {"schema": schema}},
    }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status in (409, 429, 503):
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    if status == 429:
        response["headers"] |= _RATE_LIMIT_HEADERS
    return response


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        tags=app.openapi_tags,
        routes=app.routes,
    )
    for method, operation, dependant in _operations(app, document):
        _complete(operation, dependant)
        _drop_bodies(method, operation["responses"])
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_components([ErrorDetail, FieldErrors, RuleErrors, *_bodies.values()]))
    _show_decimals(schemas, get_currency(app.state.settings.currency))
    components["schemas"] = {name: schemas[name] for name in sorted(schemas)}
    components["securitySchemes"] = {
        "tokenAuth": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token KEY`",
        },
        "bearerAuth": {"type": "http", "scheme": "bearer", "description": "The same key."},
    }
    return document


def _show_decimals(schemas: dict[str, Any], currency: Currency) -> None:
    """Give amounts the pattern of the deployment's currency.

    With two decimals it is the documented one. Other currencies may need more digits before the
    point than that has.
    """
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            if field.pop(AMOUNT, False) and currency.decimals != 2:
                field["pattern"] = decimal_pattern(_MOST_DIGITS, currency.decimals)


def _operations(
    app: FastAPI, document: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any], Dependant]]:
    for route in iter_route_contexts(app.routes):
        path = document["paths"].get(route.path_format, {})
        for method in route.methods or ():
            if route.include_in_schema and method.lower() in path:
                yield method, path[method.lower()], route.dependant


def _complete(operation: dict[str, Any], dependant: Dependant) -> None:
    """Add what this API's own dependencies read and demand, and every error response."""
    access = access_of(dependant)
    parameters = operation.get("parameters", [])
    if access is not None:
        parameters.append(_IMPERSONATED_USER)
    for dependency in dependencies_of(dependant):
        if isinstance(dependency, FromQuery):
            parameters += _parameters(dependency)
    if parameters:
        operation["parameters"] = sorted(parameters, key=lambda p: (p["in"] != "path", p["name"]))
    statuses = [429, 500, 503]
    if access is not None:
        operation["security"] = [{"tokenAuth": []}, {"bearerAuth": []}]
        statuses += [400, 401]
    if access in (Access.STAFF, Access.STAFF_OR_SUPPORT):
        statuses.append(403)
    responses = operation["responses"]
    responses.pop("422", None)
    responses.update({str(status): _error_response(status) for status in statuses})
    operation["responses"] = {status: responses[status] for status in sorted(responses)}


def _drop_bodies(method: str, responses: dict[str, Any]) -> None:
    """Leave no content where there is no body: on HEAD, and where a route says so."""
    for response in responses.values():
        if method == "HEAD" or response["description"] in (NO_BODY, NOT_MODIFIED):
            response.pop("content", None)


def _parameters(reader: "FromQuery[Any]") -> Iterator[dict[str, Any]]:
    """Yield the documentation of what a class of parameters reads."""
    whole = reader.model.model_json_schema()
    for name, schema in whole["properties"].items():
        if name in reader.undocumented:
            continue
        required = name in whole.get("required", ())
        parameter: dict[str, Any] = {"name": name, "in": "query", "required": required}
        if not required and name not in reader.reading_empty:
            parameter["allowEmptyValue"] = True  # it then counts as absent
        for key in ("description", "style", "explode"):
            if key in schema:
                parameter[key] = schema.pop(key)
        if examples := schema.pop("examples", None):
            parameter |= _example(parameter, examples[0])
        schema.pop("title", None)
        schema.pop("default", None)  # as Python has it; what counts stands in the description
        yield parameter | {"schema": schema}


def _example(parameter: dict[str, Any], value: Any) -> dict[str, Any]:
    """Return what tells an example of a parameter.

    The documentation's page fills in an `example` and sends it. That helps where a value is
    required; elsewhere it would be a filter that nobody has asked for.
    """
    if parameter["required"]:
        return {"example": value}
    given = str(value).lower() if isinstance(value, bool) else value
    query = urlencode({parameter["name"]: given}, doseq=True, safe=":/")
    return {"description": f"{parameter['description'].rstrip('.')}. For example `{query}`."}


def _components(models: list[type[BaseModel]]) -> dict[str, Any]:
    inputs = [(model, "validation") for model in models]
    _, definitions = models_json_schema(
        inputs,  # type: ignore[arg-type]  # a list of pairs with a literal
        ref_template=_REFERENCE,
    )
    found: dict[str, Any] = definitions["$defs"]
    return found
