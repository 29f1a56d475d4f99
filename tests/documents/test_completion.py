"""Values that were empty when a document was frozen are filled in; others never change."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.documents.completion import complete
from app.documents.document import FrozenDocument
from tests.support.documents import make_document

DOCUMENT: dict[str, Any] = TypeAdapter(FrozenDocument).dump_python(make_document(), mode="json")
TEXTS = st.dictionaries(
    st.sampled_from(["name", "country", "endpoint", "endpoint_scheme", "bank_account", "bic"]),
    st.sampled_from(["", " ", "a", "b"]),
)


def document(**values: Any) -> dict[str, Any]:
    return DOCUMENT | values


@given(TEXTS, TEXTS)
def test_only_empty_values_are_filled_in_and_only_once(
    frozen: Mapping[str, str], known: Mapping[str, str]
) -> None:
    content, today = document(buyer=frozen), document(buyer=known)
    completion = complete(content, today)
    filled = completion.fill(content)
    for name, value in filled["buyer"].items():
        assert value == frozen.get(name) or (not frozen.get(name, "").strip() and value.strip())
    assert filled | {"buyer": frozen} == content
    assert not complete(filled, today)


@pytest.mark.parametrize("party", ["seller", "buyer"])
def test_a_scheme_is_taken_with_its_code_alone(party: str) -> None:
    known = {"registration_code": "1", "registration_scheme": "0191"}
    for code, completed in (("", known), ("1", known), ("2", {"registration_code": "2"})):
        content = document(**{party: {"registration_code": code}})
        filled = complete(content, document(**{party: known})).fill(content)
        assert filled[party] == completed


def test_an_exemption_is_taken_with_its_category_alone() -> None:
    content = document(tax_category="E", tax_exemption_code="", tax_exemption_reason="")
    known = {"tax_category": "AE", "tax_exemption_code": "VATEX-EU-AE"}
    assert not complete(content, content | known)


def test_the_fields_are_named_for_an_operator() -> None:
    content = document(seller={}, buyer={}, buyer_reference="")
    known = document(seller={"city": "Tartu"}, buyer={"country": "DE"}, buyer_reference="4")
    assert complete(content, known).fields == [
        "city of the issuer",
        "buyer_reference of the customer",
        "country of the customer",
    ]
