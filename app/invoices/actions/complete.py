"""Complete the documents of issued invoices: fill in the values that were empty at the freeze."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import import_lock
from app.documents.completion import Completion, complete
from app.domain_errors import TemporarilyUnavailable
from app.invoices.actions.freeze import freeze, issuer_of
from app.invoices.repository import completion as repository
from app.invoices.repository.documents import Issuer
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class CompletedDocument:
    """The document of an issued invoice, with the present values of its parties."""

    number: int
    fields: Sequence[str]
    """The values that were filled in; none if there was nothing to fill in."""


async def complete_documents(
    connection: AsyncConnection, invoice_ids: Sequence[int], settings: Settings
) -> Sequence[CompletedDocument]:
    """Fill in the empty values of the documents of those invoices that were issued, by number.

    The values are those of the customer and the settings of today. A document that gets one has a
    further version; a value that is there never changes. An invoice without a document is frozen.
    The API shows the same values in `customer_details` and `issuer_details`.

    Raises TemporarilyUnavailable while an import runs.
    """
    if not await import_lock.try_lock_out_imports(connection):
        message = "Documents cannot be completed now, because an import is running. Try again."
        raise TemporarilyUnavailable(message, import_lock.RETRY_AFTER)
    locked = await repository.lock_issued(connection, invoice_ids)
    await freeze(connection, locked, settings)
    issuer = issuer_of(settings)
    documents = await repository.read_known(connection, locked, issuer.seller)
    completed = []
    for document in documents:
        missing = complete(document.content, document.known)
        if missing:
            content = missing.fill(document.content)
            content["api"] = _complete_api(content["api"], missing, issuer)
            await repository.add_version(connection, document, content)
        completed.append(CompletedDocument(document.number, missing.fields))
    return completed


def _complete_api(api: Mapping[str, Any], missing: Completion, issuer: Issuer) -> dict[str, Any]:
    """Fill in the same values where the API shows them."""
    customer = dict(api["customer_details"])
    customer |= {name: value for name, value in missing.buyer.items() if name in customer}
    if country := missing.buyer.get("country"):
        customer["country_name"] = issuer.country_names.get(country.upper())
    details = from_json(api["issuer_details"])
    details |= {name: value for name, value in missing.seller.items() if not details.get(name)}
    return {**api, "customer_details": customer, "issuer_details": to_json(details).decode()}
