"""`set_backend_id`, `set_payment_url`, `set_reference_number`: texts beside an invoice."""

from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request

from app.database.engine import Database
from app.http import fields
from app.http.bodies import read_body
from app.http.errors import InvalidFields
from app.invoices import changes

_RULES: Final[dict[str, Callable[[Any, int], str]]] = {
    "backend_id": fields.text,
    "payment_url": fields.url,
    "reference_number": fields.text,
}


async def annotate(database: Database, invoice_id: int, field: str, request: Request) -> None:
    """Set the field of the invoice to what the body says; a body without the field changes nothing.

    `field` is one of `changes.ANNOTATIONS`. Raises what `read_body` raises, and `InvalidFields`.
    """
    body = await read_body(request)
    if field not in body.fields:
        return
    try:
        value = _RULES[field](body.fields[field], changes.ANNOTATIONS[field])
    except fields.FieldError as error:
        raise InvalidFields({field: error.messages}) from None
    async with database.transaction() as connection:
        await changes.annotate(connection, invoice_id, field, value)
