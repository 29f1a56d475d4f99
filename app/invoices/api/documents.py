"""Downloads of the documents of issued invoices: PDF, and XML in the profiles of EN 16931."""

from functools import partial
from typing import Annotated, Any, Final, cast

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, WithJsonSchema

from app.api.caching.conditional_get import ConditionalGet, File, Representation, Resource
from app.api.caching.etags import etag_of
from app.api.dependencies import CurrentDatabase, CurrentReads, CurrentSettings
from app.api.operation_docs import FILE_HEADERS, DocumentError, document_read
from app.api.query_parameters import QueryParameters, QueryParser, choice
from app.database.engine import Connection
from app.database.filter_set import NO_FILTERS
from app.documents.files import PDF_TYPE, RENDERER_VERSION, XML_TYPE, pdf_name, xml_name
from app.documents.pdf.maker import PdfMaker
from app.documents.profiles import Profile, Syntax, get_profile, profile_names
from app.identity.api.authentication import Authenticated
from app.invoices.actions.freeze import find_or_freeze
from app.invoices.api.router import InvoiceUuid
from app.invoices.queries.documents import IssuedDocument
from app.invoices.rendering.documents import render_pdf, render_xml, require_profile
from app.invoices.repository.reads import find_visible_invoice

router = APIRouter(prefix="/api/invoices", tags=["invoices"])


_NOT_WRITTEN: Final = (
    "The invoice is not issued and has no document yet, or data that the profile requires is"
    " missing or wrong."
)
_UBL_PROFILES: Final = profile_names(Syntax.UBL)
_CII_PROFILES: Final = profile_names(Syntax.CII)


class UblParameters(QueryParameters):
    """The parameters of a document in UBL."""

    profile: Annotated[
        str,
        choice(_UBL_PROFILES),
        WithJsonSchema({"type": "string", "enum": _UBL_PROFILES}),
    ] = Field(default="en16931", examples=["peppol"])
    """The profile: `en16931` by default, `peppol` (BIS Billing 3.0), or `xrechnung`."""


class CiiParameters(QueryParameters):
    """The parameters of a document in CII."""

    profile: Annotated[
        str,
        choice(_CII_PROFILES),
        WithJsonSchema({"type": "string", "enum": _CII_PROFILES}),
    ] = Field(default="en16931", examples=["xrechnung"])
    """The profile: `en16931` by default, which is that of Factur-X, or `xrechnung`."""


UblAsked = Annotated[UblParameters, Depends(QueryParser(UblParameters))]
CiiAsked = Annotated[CiiParameters, Depends(QueryParser(CiiParameters))]


async def _issued_document(
    uuid: InvoiceUuid,
    caller: Authenticated,
    reads: CurrentReads,
    database: CurrentDatabase,
    settings: CurrentSettings,
) -> IssuedDocument:
    async with reads.reading() as connection:
        invoice = await find_visible_invoice(
            connection, caller=caller, uuid=uuid, filters=NO_FILTERS
        )
    return await find_or_freeze(database, settings, invoice.id, reads)


Issued = Annotated[IssuedDocument, Depends(_issued_document, scope="function")]
"""The document of an invoice that the caller may see."""


def document_download(description: str, media_type: str) -> dict[str, Any]:
    """Return the arguments of a route for a document."""
    arguments = document_read(description, FILE_HEADERS)
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    arguments["responses"][200]["content"] = content
    arguments["responses"] |= {409: {"model": DocumentError, "description": _NOT_WRITTEN}}
    return {"response_class": Response} | arguments


@router.get(
    "/{uuid}/pdf/",
    operation_id="invoices_pdf_retrieve",
    summary="Download the invoice as PDF",
    **document_download("The PDF, with the e-invoice inside where it can be made.", PDF_TYPE),
)
@router.head("/{uuid}/pdf/", include_in_schema=False)
async def retrieve_pdf(issued: Issued, request: Request) -> Response:
    """Download an issued invoice as PDF/A-3.

    The CII is inside (Factur-X, profile EN 16931), unless data is missing for it.
    """
    return await respond_with_pdf(request, issued)


@router.get(
    "/{uuid}/ubl/",
    operation_id="invoices_ubl_retrieve",
    summary="Download the invoice in UBL",
    **document_download("The invoice in UBL 2.1.", XML_TYPE),
)
@router.head("/{uuid}/ubl/", include_in_schema=False)
async def retrieve_ubl(issued: Issued, parameters: UblAsked, request: Request) -> Response:
    """Download an issued invoice as XML in UBL 2.1, in a profile of EN 16931."""
    return await respond_with_xml(request, issued, get_profile(Syntax.UBL, parameters.profile))


@router.get(
    "/{uuid}/cii/",
    operation_id="invoices_cii_retrieve",
    summary="Download the invoice in CII",
    **document_download("The invoice in CII.", XML_TYPE),
)
@router.head("/{uuid}/cii/", include_in_schema=False)
async def retrieve_cii(issued: Issued, parameters: CiiAsked, request: Request) -> Response:
    """Download an issued invoice as XML in CII of UN/CEFACT, in a profile of EN 16931."""
    return await respond_with_xml(request, issued, get_profile(Syntax.CII, parameters.profile))


async def respond_with_pdf(request: Request, issued: IssuedDocument) -> Response:
    """Return the response with a document as PDF."""
    get = ConditionalGet(request)
    maker = cast(PdfMaker, request.app.state.pdf_maker)
    return await get.respond_with_file(
        File(
            _etag(issued, PDF_TYPE, get.settings.locale),
            partial(render_pdf, get.reads, issued, maker),
            PDF_TYPE,
            _headers(pdf_name(issued.document)),
        )
    )


async def respond_with_xml(request: Request, issued: IssuedDocument, profile: Profile) -> Response:
    """Return the response with a document in a profile; raises UnmetRequirements."""
    get = ConditionalGet(request)

    async def select(connection: Connection) -> IssuedDocument:
        if get.matches_every_tag:
            # No copy shows that the document could ever be written.
            await require_profile(connection, issued, profile)
        return issued  # a version of a document does not change

    def represent(document: IssuedDocument) -> Representation:
        return Representation(
            _etag(document, XML_TYPE, profile.label),
            partial(render_xml, issued=document, profile=profile),
            _headers(xml_name(document.document, profile)),
            # HEAD has the same 409 as GET.
            headers_need_body=True,
            media_type=XML_TYPE,
        )

    return await get.respond(Resource(select, represent, in_snapshot=get.matches_every_tag))


def _etag(issued: IssuedDocument, *representation: str) -> str:
    return etag_of(issued.digest, *map(str.encode, (str(RENDERER_VERSION), *representation)))


def _headers(file_name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name}"'}
