"""Request bodies: typed values, and errors in the shapes of Django REST framework."""

from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field, model_validator

from app.api.body_fields import Boolean, Email, Text
from app.api.body_numbers import DecimalNumber
from app.api.errors import InvalidFields
from app.api.multipart import FilePart
from app.api.request_body import RequestBody
from app.api.request_model import (
    OPTIONAL,
    BodyContext,
    FieldError,
    RequestModel,
    partial_model,
    validate_body,
)

REQUIRED = ["This field is required."]
NULL = ["This field may not be null."]


class Line(RequestModel):
    """A line of an order."""

    name: Annotated[str, Text(5)]
    price: Annotated[Decimal, DecimalNumber(6, 2)] = OPTIONAL


class Order(RequestModel):
    """An order."""

    name: Annotated[str, Text(5)]
    note: Annotated[str, Text(5, blank=True)] = OPTIONAL
    is_active: Annotated[bool | None, Boolean()] = True
    price: Annotated[Decimal | None, DecimalNumber(6, 2)] = OPTIONAL
    emails: list[Annotated[str, Email()]] = Field(default_factory=list, min_length=1, max_length=2)
    lines: list[Line] = Field(default_factory=list, min_length=1)

    @model_validator(mode="after")
    def _check_name(self) -> "Order":
        if self.values().get("name") == "bad":
            raise FieldError("A bad order.")
        return self


PatchedOrder = partial_model(Order)


def validate(body: dict[str, Any], *, partial: bool = False, form: bool = False) -> dict[str, Any]:
    model = PatchedOrder if partial else Order
    return validate_body(model, RequestBody(body, from_form=form), BodyContext()).values()


def errors_of(body: dict[str, Any], **options: bool) -> Any:
    with pytest.raises(InvalidFields) as caught:
        validate(body, **options)
    return caught.value.body


def test_absent_fields_have_their_defaults_and_optional_ones_no_value() -> None:
    assert validate({"name": "x"}) == {"name": "x", "is_active": True, "emails": [], "lines": []}
    assert validate({}, partial=True) == {}
    assert validate({"price": None, "other": 1}, partial=True) == {"price": None}


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({}, {"name": REQUIRED}),
        ({"name": None}, {"name": NULL}),
        ({"name": ""}, {"name": ["This field may not be blank."]}),
        (
            {"name": "x" * 6, "price": "1.234"},
            {
                "name": ["Ensure this field has no more than 5 characters."],
                "price": ["Ensure that there are no more than 2 decimal places."],
            },
        ),
        ({"name": "bad"}, {"non_field_errors": ["A bad order."]}),
        (
            {"name": "x", "emails": "a"},
            {"emails": ['Expected a list of items but got type "str".']},
        ),
        ({"name": "x", "emails": None}, {"emails": NULL}),
        ({"name": "x", "emails": []}, {"emails": ["This list may not be empty."]}),
        (
            {"name": "x", "emails": ["a@x.y"] * 3},
            {"emails": ["Ensure this field has no more than 2 elements."]},
        ),
        (
            {"name": "x", "emails": ["a@example.com", "x"]},
            {"emails": {"1": ["Enter a valid email address."]}},
        ),
        (
            {"name": "x", "lines": [{"name": "a"}, {}, 5, None]},
            {
                "lines": [
                    {},
                    {"name": REQUIRED},
                    {"non_field_errors": ["Invalid data. Expected a dictionary, but got int."]},
                    NULL,
                ]
            },
        ),
        (
            {"name": "x", "lines": {}},
            {"lines": {"non_field_errors": ['Expected a list of items but got type "dict".']}},
        ),
        (
            {"name": "x", "lines": []},
            {"lines": {"non_field_errors": ["This list may not be empty."]}},
        ),
        ({"name": "x", "file": FilePart("f")}, {"file": ["This operation takes no files."]}),
    ],
)
def test_the_errors_of_all_fields_are_reported(body: dict[str, Any], errors: Any) -> None:
    assert errors_of(body) == errors


def test_the_errors_of_list_elements_are_reported_by_index() -> None:
    assert errors_of({"name": "x", "emails": ["", None]}) == {
        "emails": {"0": ["This field may not be blank."], "1": NULL}
    }


def test_an_empty_text_of_a_form_stands_for_no_value() -> None:
    assert validate({"note": "", "price": "", "is_active": ""}, partial=True, form=True) == {
        "note": "",
        "price": None,
        "is_active": None,
    }
    assert errors_of({"name": ""}, partial=True, form=True) == {
        "name": ["This field may not be blank."]
    }


def test_a_partial_model_documents_no_required_field() -> None:
    assert PatchedOrder.__name__ == "PatchedOrder"
    assert "required" not in PatchedOrder.model_json_schema()
