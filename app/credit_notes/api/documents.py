"""Downloads of the documents of credit notes: PDF, and XML in the profiles of EN 16931."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.api.collections import RecordUuid
from app.api.dependencies import CurrentReads
from app.credit_notes.api.credit_notes import collection
from app.credit_notes.queries.documents import find_document
from app.documents.files import PDF_TYPE, XML_TYPE
from app.documents.profiles import Syntax, get_profile
from app.identity.api.authentication import Authenticated
from app.invoices.api.documents import (
    CiiAsked,
    UblAsked,
    document_download,
    respond_with_pdf,
    respond_with_xml,
)
from app.invoices.queries.documents import IssuedDocument

router = APIRouter(prefix="/api/credit-notes", tags=["credit-notes"])


async def _issued_document(
    uuid: RecordUuid, caller: Authenticated, reads: CurrentReads
) -> IssuedDocument:
    async with reads.reading() as connection:
        row = await collection.find(connection, caller, uuid, fields=("uuid",))
        return await find_document(connection, row["uuid"])


Issued = Annotated[IssuedDocument, Depends(_issued_document, scope="function")]
"""The document of a credit note that the caller may see."""


@router.get(
    "/{uuid}/pdf/",
    operation_id="credit_notes_pdf_retrieve",
    summary="Download the credit note as PDF",
    **document_download("The PDF, with the e-invoice inside where it can be made.", PDF_TYPE),
)
@router.head("/{uuid}/pdf/", include_in_schema=False)
async def retrieve_pdf(issued: Issued, request: Request) -> Response:
    """Download a credit note as PDF/A-3, with the CII inside unless data is missing for it."""
    return await respond_with_pdf(request, issued)


@router.get(
    "/{uuid}/ubl/",
    operation_id="credit_notes_ubl_retrieve",
    summary="Download the credit note in UBL",
    **document_download("The credit note in UBL 2.1.", XML_TYPE),
)
@router.head("/{uuid}/ubl/", include_in_schema=False)
async def retrieve_ubl(issued: Issued, parameters: UblAsked, request: Request) -> Response:
    """Download a credit note as XML in UBL 2.1, in a profile of EN 16931."""
    return await respond_with_xml(request, issued, get_profile(Syntax.UBL, parameters.profile))


@router.get(
    "/{uuid}/cii/",
    operation_id="credit_notes_cii_retrieve",
    summary="Download the credit note in CII",
    **document_download("The credit note in CII.", XML_TYPE),
)
@router.head("/{uuid}/cii/", include_in_schema=False)
async def retrieve_cii(issued: Issued, parameters: CiiAsked, request: Request) -> Response:
    """Download a credit note as XML in CII of UN/CEFACT, in a profile of EN 16931."""
    return await respond_with_xml(request, issued, get_profile(Syntax.CII, parameters.profile))
