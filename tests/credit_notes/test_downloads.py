"""Downloads of credit notes: PDF, and XML in each profile."""

from io import BytesIO

import httpx
import pytest
from pypdf import PdfReader
from sqlalchemy import text

from app.documents.profiles import PROFILES, Profile
from app.invoices.actions.complete import complete_documents
from app.settings import Settings
from tests.credit_notes.conftest import Crediting
from tests.support.einvoice_rules import judge
from tests.support.factories import Factories, Row
from tests.support.issued import COMPLETE, issue_invoice, issuing


@pytest.fixture
async def customer(make: Factories) -> Row:
    return await make.customer(**COMPLETE)


@pytest.fixture
async def note(
    crediting: Crediting, make: Factories, settings: Settings, customer: Row
) -> dict[str, str]:
    invoice = await issue_invoice(make, settings, "10", "2.5", customer=customer, number=100001)
    return await crediting.credit(invoice)


def path(note: dict[str, str], kind: str) -> str:
    return f"/api/credit-notes/{note['uuid']}/{kind}/"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.label)
async def test_the_official_rules_accept_each_profile(
    crediting: Crediting, note: dict[str, str], profile: Profile
) -> None:
    response = await crediting.get(f"{path(note, profile.syntax)}?profile={profile.name}")
    assert response.status_code == 200, response.text
    name = f"credit-note-1-{profile.label}.xml"
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert not judge(response.content, profile).fatal


async def test_the_pdf_has_the_e_invoice_inside(crediting: Crediting, note: dict[str, str]) -> None:
    response = await crediting.get(path(note, "pdf"))
    assert response.status_code == 200, response.text
    assert response.headers["content-disposition"] == 'attachment; filename="credit-note-1.pdf"'
    reader = PdfReader(BytesIO(response.content))
    assert "Credit note CN-1" in reader.pages[0].extract_text()
    xml = await crediting.get(path(note, "cii"))
    assert reader.attachments["factur-x.xml"] == [xml.content]


async def test_a_current_copy_gets_304(
    client: httpx.AsyncClient, crediting: Crediting, note: dict[str, str]
) -> None:
    for kind in ("pdf", "ubl", "cii"):
        head = await client.head(path(note, kind), headers=crediting.staff.headers)
        assert head.status_code == 200
        headers = crediting.staff.headers | {"If-None-Match": head.headers["etag"]}
        assert (await client.get(path(note, kind), headers=headers)).status_code == 304


async def test_missing_data_is_listed(
    crediting: Crediting, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(**COMPLETE | {"buyer_reference": ""})
    note = await crediting.credit(await issue_invoice(make, settings, customer=customer))
    response = await crediting.get(f"{path(note, 'ubl')}?profile=xrechnung")
    assert response.status_code == 409
    assert response.json()["detail"] == (
        "Credit note CN-1 cannot be written as xrechnung: 1 value is missing or wrong."
    )
    assert [each["term"] for each in response.json()["problems"]] == ["BT-10"]


async def test_every_tag_matches_a_document_that_can_be_written_alone(
    client: httpx.AsyncClient, crediting: Crediting, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(**COMPLETE | {"buyer_reference": ""})
    note = await crediting.credit(await issue_invoice(make, settings, customer=customer))
    headers = crediting.staff.headers | {"If-None-Match": "*"}
    for url, status in (
        (path(note, "pdf"), 304),
        (path(note, "ubl"), 304),
        (f"{path(note, 'ubl')}?profile=xrechnung", 409),
    ):
        assert (await client.get(url, headers=headers)).status_code == status


async def test_only_those_who_see_the_credit_note_get_its_documents(
    client: httpx.AsyncClient, make: Factories, customer: Row, note: dict[str, str]
) -> None:
    owner, stranger = await make.owner(customer), await make.user()
    url = path(note, "ubl")
    assert (await client.get(url, headers=owner.headers)).status_code == 200
    refused = await client.get(url, headers=stranger.headers)
    assert refused.status_code == 404
    assert refused.json() == {"detail": "No CreditNote matches the given query."}


async def test_a_credit_note_is_completed_with_its_invoice(
    crediting: Crediting, make: Factories, settings: Settings
) -> None:
    customer = await make.customer(**COMPLETE | {"country": ""})
    invoice = await issue_invoice(make, settings, customer=customer, number=100001)
    note = await crediting.credit(invoice)
    refused = await crediting.get(path(note, "ubl"))
    assert refused.status_code == 409
    assert "document complete 100001`" in refused.json()["problems"][0]["where"]
    pdf = await crediting.get(path(note, "pdf"))
    await crediting.connection.execute(text("UPDATE customers SET country = 'FI', name = 'Other'"))
    await complete_documents(crediting.connection, [invoice.id], issuing(settings))
    response = await crediting.get(path(note, "ubl"))
    assert response.status_code == 200, response.text
    assert "Other" not in response.text
    completed = await crediting.get(path(note, "pdf"))
    assert completed.headers["ETag"] != pdf.headers["ETag"]
