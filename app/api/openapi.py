"""The OpenAPI document: FastAPI's, completed by the conventions of this API."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from app.api import docs_page
from app.api.operation_docs import (
    BODY_MODELS,
    ERROR_MODELS,
    IMPERSONATED_USER_PARAMETER,
    NO_BODY,
    NOT_MODIFIED,
    error_response,
)
from app.api.permissions import Access, access_of, dependencies_of
from app.api.query_parameters import QueryParser
from app.api.serializers import AMOUNT, decimal_pattern
from app.billing.currencies import Currency

_SCHEMA_PATH: Final = "/api/schema.json"
_DESCRIPTION: Final = """\
Invoices for cloud resources and other usage, as Waldur documents them under `/api/invoices/`.

Authenticate with the header `Authorization: Token KEY`. All amounts are in the currency of the
deployment.
"""
_MAX_INTEGER_DIGITS: Final = 20
"""Digits before the decimal point of an amount."""


def create_application(
    version: str,
    routes: Sequence[BaseRoute],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
) -> FastAPI:
    """Return an application with these routes, its OpenAPI document and documentation page."""
    app = FastAPI(
        title="Cloud invoicing",
        version=version,
        description=_DESCRIPTION,
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_tags=[
            {"name": "invoices", "description": "Invoices, their items and totals."},
            {"name": "credit-notes", "description": "Documents that give back parts of invoices."},
            {"name": "payments", "description": "Payments of invoices."},
            {"name": "payment-profiles", "description": "How organizations pay."},
            {"name": "financial-reports", "description": "The costs of organizations by month."},
            {"name": "invoice", "description": "Reports of invoices by mail."},
            {"name": "billing-total-cost", "description": "The sums of the invoices of a month."},
        ],
        routes=[*routes],
        openapi_url=_SCHEMA_PATH,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    docs_page.install(app)

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's way to extend the document
    return app


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
        _remove_content(method, operation["responses"])
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(_own_schemas())
    for _, operation, _ in _operations(app, document):
        _share_words(operation, schemas)
    _adapt_amounts(schemas, app.state.settings.currency)
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


def _own_schemas() -> dict[str, Any]:
    """Return the schemas of errors and request bodies, which FastAPI does not know."""
    models: list[type[BaseModel]] = [*ERROR_MODELS, *BODY_MODELS.values()]
    _, schema = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = schema["$defs"]
    return schemas


def _share_words(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Make the words of a parameter, such as its orders, a component if they have a title."""
    for parameter in operation.get("parameters", ()):
        words = parameter["schema"].get("items", {})
        if name := words.get("title"):
            schemas.setdefault(name, words)
            parameter["schema"]["items"] = {"$ref": f"#/components/schemas/{name}"}


def _adapt_amounts(schemas: dict[str, Any], currency: Currency) -> None:
    """Give amounts the pattern of the deployment's currency.

    The documented pattern is for two decimals. An amount in a currency with other decimals may have
    more digits before the point than that pattern allows.
    """
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            if field.pop(AMOUNT, False) and currency.decimals != 2:
                field["pattern"] = decimal_pattern(_MAX_INTEGER_DIGITS, currency.decimals)


def _operations(
    app: FastAPI, document: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any], Dependant]]:
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        path = document["paths"].get(route.path_format, {})
        for method in route.methods or ():
            if route.include_in_schema and method.lower() in path:
                yield method, path[method.lower()], route.dependant


def _complete(operation: dict[str, Any], dependant: Dependant) -> None:
    """Add the query parameters, the security scheme and the error responses of an operation."""
    access = access_of(dependant)
    parameters = operation.get("parameters", [])
    statuses = [429, 500, 503]
    if access is not None:
        parameters.append(IMPERSONATED_USER_PARAMETER)
        statuses += [400, 401]
    if access in (Access.STAFF, Access.STAFF_OR_SUPPORT):
        statuses.append(403)
    for dependency in dependencies_of(dependant):
        if isinstance(dependency, QueryParser):
            parameters += dependency.documentation()
    if parameters:
        operation["parameters"] = sorted(parameters, key=lambda p: (p["in"] != "path", p["name"]))
    if access is not None:
        operation["security"] = [{"tokenAuth": []}, {"bearerAuth": []}]
    responses = operation["responses"]
    responses.pop("422", None)
    responses.update({str(status): error_response(status) for status in statuses})
    operation["responses"] = {status: responses[status] for status in sorted(responses)}


def _remove_content(method: str, responses: dict[str, Any]) -> None:
    """Remove the content of responses without a body: of HEAD, 304 and actions without result."""
    for response in responses.values():
        if method == "HEAD" or response["description"] in (NO_BODY, NOT_MODIFIED):
            response.pop("content", None)
