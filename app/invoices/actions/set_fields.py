"""`set_backend_id`, `set_payment_url`, `set_reference_number`: texts beside an invoice."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api import body_validators
from app.api.errors import InvalidFields
from app.api.rendered_response import WrittenAnswer
from app.api.request_body import Body, read_body
from app.invoices.api.submission import Submission
from app.invoices.repository import writes

_RULES: Final[dict[str, Callable[[Any, int], str]]] = {
    "backend_id": body_validators.text,
    "payment_url": body_validators.url,
    "reference_number": body_validators.text,
}


async def annotate(submission: Submission, field: str) -> Response:
    """Set the field of the invoice to what the body says; a body without the field changes nothing.

    `field` is one of `changes.ANNOTATIONS`. Raises what `read_body` and `Submission` raise, and
    `InvalidFields`.
    """
    body = await read_body(submission.request)
    repeated = await submission.repeated(body)
    if repeated is not None:
        return repeated
    value = _value(body, field)

    async def change(connection: AsyncConnection) -> WrittenAnswer:
        await submission.require_match(connection)
        if value is not None:
            await writes.annotate(connection, submission.invoice.id, field, value)
        return WrittenAnswer()

    return await submission.once(change)


def _value(body: Body, field: str) -> str | None:
    if field not in body.fields:
        return None
    try:
        return _RULES[field](body.fields[field], writes.ANNOTATIONS[field])
    except body_validators.FieldError as error:
        raise InvalidFields({field: error.messages}) from None
