"""The documentation of operations: responses, headers and bodies for the arguments of a route."""

from typing import Any, Final, Literal
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, RootModel

from app.api.permissions import IMPERSONATED_USER

NO_BODY: Final = "No response body"
NOT_MODIFIED: Final = "The client's copy is current; no response body"
"""The descriptions of responses without a body."""

_STATUSES: Final = {
    400: "A parameter or the body is invalid, or a rule forbids the operation.",
    401: "The token is missing or invalid.",
    403: "The caller's role does not permit the operation.",
    404: "The resource or page does not exist, or the caller may not see it.",
    409: "The state of the record does not permit the action, or a request with the same key is"
    " still in progress.",
    412: "The record does not match `If-Match`.",
    413: "The body is too large.",
    415: "The operation does not accept this media type.",
    416: "The file does not have the requested `Range`.",
    429: "A rate limit is exceeded.",
    500: "Internal error. The response has the id under which the error is logged.",
    503: "The database, or the storage of payment proofs, is unavailable.",
}


class ErrorDetail(BaseModel):
    """An error message."""

    detail: str


class DocumentProblem(BaseModel):
    """A value that a profile requires, and that is missing or wrong."""

    term: str
    """The business term of EN 16931, such as `BT-37`."""
    rule: str
    """The official rule that refuses the document; empty if there is none."""
    of: Literal["issuer", "customer", "invoice", "item"]
    field: str
    where: str
    """The place where the value is set."""
    message: str
    item: UUID | None = None
    """The item, if the value is one of an item."""


class DocumentError(BaseModel):
    """The reason why a document cannot be written."""

    detail: str
    problems: list[DocumentProblem] | None = None
    """Every value that is missing or wrong, if the invoice is issued."""


class FieldErrors(RootModel[dict[str, list[Any] | dict[str, Any]]]):
    """The error messages of each invalid field or parameter.

    Of a list or an object they are the errors of its elements.
    """


class RuleErrors(RootModel[list[str]]):
    """Error messages that belong to no single field."""


ERROR_MODELS: Final = (FieldErrors, RuleErrors, ErrorDetail)
BODY_MODELS: Final[dict[str, type[BaseModel]]] = {}
"""The models of request bodies, by the names of their components."""


def reference(model: type[BaseModel]) -> dict[str, str]:
    """Return the reference to the component of a model."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _header(description: str, example: Any = None, **schema: Any) -> dict[str, Any]:
    header = {"description": description, "schema": schema or {"type": "string"}}
    return header if example is None else header | {"example": example}


def _header_parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, **_header(description, **schema)}


LIST_HEADERS: Final = {
    "X-Result-Count": _header("Total number of results available", 42, type="integer"),
    "Link": _header(
        "The pages `first`, `prev`, `next` and `last`, as far as they exist (RFC 8288)",
        '<https://api.example.com/api/invoices/?page=2>; rel="next"',
    ),
}
COUNT_HEADER: Final = {"X-Result-Count": LIST_HEADERS["X-Result-Count"]}
FILE_HEADERS: Final = {
    "Content-Disposition": _header(
        "`attachment` and the name of the file", 'attachment; filename="invoice-100001.pdf"'
    )
}
_CACHING_HEADERS: Final = {
    "ETag": _header(
        "A strong entity tag of the response, for `If-None-Match` (RFC 9110)",
        '"d4f7c1d1a5b0c3e2f6a7984512e0b3c9"',
    ),
    "Cache-Control": _header(
        "`private, no-cache`: only the client may store the response, and must revalidate it"
    ),
}
_RATE_LIMIT_HEADERS: Final = {
    "RateLimit-Policy": _header(
        "The rate limit of the request: its quota and its window in seconds",
        '"token";q=6000;w=60',
    ),
    "RateLimit": _header(
        "The remaining quota, and the seconds until it is renewed", '"token";r=5999;t=42'
    ),
}
_LOCATION_HEADER: Final = {"Location": _header("The URL of the new record", format="uri")}
_REPLAYED_HEADER: Final = {
    "Idempotent-Replayed": _header(
        "`true` if the response is the stored one of an earlier request with the same key"
    )
}
IMPERSONATED_USER_PARAMETER: Final = _header_parameter(
    IMPERSONATED_USER,
    "The UUID of an active user. The request of a staff member then has that user's access and"
    " rights, and the audit log names both. The header is ignored if the caller is not staff",
    type="string",
    format="uuid",
)
_IF_NONE_MATCH: Final = _header_parameter(
    "If-None-Match", "The `ETag` of the client's copy. If the copy is current, the response is 304"
)
_IF_MATCH: Final = _header_parameter(
    "If-Match",
    "The `ETag` of the whole record as the client read it. If the record has changed since, the"
    " response is 412",
)
_IDEMPOTENCY_KEY: Final = _header_parameter(
    "Idempotency-Key",
    "Identifies the request, so that it can be retried safely: for 24 hours, the same request with"
    " the same key gets the same response and changes nothing more. Use a new key for each action,"
    " for example a random UUID",
    type="string",
    minLength=1,
    maxLength=255,
    pattern="^[!-~]([ -~]*[!-~])?$",
)


def document_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for these errors.

    The OpenAPI document adds 401, 403, 429, 500 and 503 to the operations that can return them.
    """
    return {status: error_response(status) for status in statuses}


def error_response(status: int) -> dict[str, Any]:
    """Return the OpenAPI response object of an error."""
    schema: dict[str, Any] = reference(ErrorDetail)
    if status == 400:
        schema = {"anyOf": [reference(model) for model in ERROR_MODELS]}
    response: dict[str, Any] = {
        "description": _STATUSES[status],
        "content": {"application/json": {"schema": schema}},
    }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status in (409, 429, 503):
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    if status == 429:
        response["headers"] |= _RATE_LIMIT_HEADERS
    return response


def document_read(description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the arguments of a route that reads, and supports `If-None-Match`."""
    return {
        "responses": {
            200: {"description": description, "headers": {**(headers or {}), **_CACHING_HEADERS}},
            304: {"description": NOT_MODIFIED, "headers": _CACHING_HEADERS},
            **document_errors(400, 404),
        },
        "openapi_extra": {"parameters": [_IF_NONE_MATCH]},
    }


def document_create(
    record: str, body: dict[str, Any], *, from_other: bool = False
) -> dict[str, Any]:
    """Return the arguments of a route that creates a record; `record` is its name in prose.

    `from_other` says whether the path names another record, which the new one is made of.
    """
    arguments = document_action(f"The new {record}", body, conditional=from_other, status=201)
    if not from_other:
        arguments["responses"].pop(404)
    arguments["responses"][201]["headers"] |= _LOCATION_HEADER
    return arguments


def document_update(record: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a route that changes fields of a record."""
    return document_action(f"The {record} after the change", body, conditional=True)


def document_destroy() -> dict[str, Any]:
    """Return the arguments of a route that deletes a record."""
    arguments = document_action(NO_BODY, conditional=True, status=204)
    return {"response_class": Response} | arguments


def document_action(
    description: str,
    body: dict[str, Any] | None = None,
    *,
    conditional: bool = False,
    status: int = 200,
) -> dict[str, Any]:
    """Return the arguments of a route that changes data.

    `body` comes from `document_body`. A `conditional` route supports `If-Match`. `status` is that
    of success.
    """
    statuses = [400, 404, 409]
    if body is not None:
        statuses += [413, 415]
    if conditional:
        statuses.append(412)
    return {
        "status_code": status,
        "responses": {
            status: {"description": description, "headers": {**_REPLAYED_HEADER}},
            **document_errors(*statuses),
        },
        "openapi_extra": {
            "parameters": [_IDEMPOTENCY_KEY, *([_IF_MATCH] if conditional else [])],
            **(body or {}),
        },
    }


def document_body(
    model: type[BaseModel],
    *,
    form: type[BaseModel] | None = None,
    multipart: type[BaseModel] | None = None,
    required: bool | None = None,
) -> dict[str, Any]:
    """Return the `openapi_extra` of a body that a route parses itself, in any media type.

    `form` and `multipart` are the models of forms, if they differ. By default the body is required
    if one of its fields is.
    """
    form = form or model
    models = {
        "application/json": model,
        "application/x-www-form-urlencoded": form,
        "multipart/form-data": multipart or form,
    }
    content = {}
    for media_type, documented in models.items():
        BODY_MODELS[documented.__name__] = documented
        content[media_type] = {"schema": reference(documented)}
    if required is None:
        required = any(field.is_required() for field in model.model_fields.values())
    return {"requestBody": {"content": content, "required": required}}
