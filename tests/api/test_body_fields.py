"""Validators of body fields: the valid values, and the message of each error."""

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from app.api.body_fields import Boolean, Choice, Date, Email, JsonObject, Text, Timestamp, Url, Uuid
from app.api.body_links import Link, Links
from app.api.body_numbers import AmountNumber, DecimalNumber, Integer
from app.api.multipart import FilePart
from app.api.request_model import BodyContext, BodyField, FieldError

CONTEXT = BodyContext()
TEXT = Text(10, blank=True)
TOO_LONG = "Ensure this field has no more than 10 characters."
INVALID_URL = "Enter a valid URL."
INVALID_DATE = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."


@pytest.mark.parametrize(
    ("value", "validated"),
    [
        ("", ""),
        (" \t\n ", ""),
        ("  a b\u00a0", "a b"),
        ("õ" * 10, "õ" * 10),
        ("  " + "x" * 10 + "  ", "x" * 10),
        ("\U0001f600" * 10, "\U0001f600" * 10),
        (0, "0"),
        (-12, "-12"),
        (1.5, "1.5"),
    ],
)
def test_a_valid_text_is_stripped(value: Any, validated: str) -> None:
    assert TEXT.parse(value, CONTEXT) == validated


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (True, ["Not a valid string."]),
        (["a"], ["Not a valid string."]),
        ({}, ["Not a valid string."]),
        (FilePart("f"), ["Not a valid string."]),
        ("x" * 11, [TOO_LONG]),
        (12345678901, [TOO_LONG]),
        ("a\0b", ["Null characters are not allowed."]),
        ("a\ud800\udfff", ["Surrogate characters are not allowed: U+D800."]),
        (
            "\0\udfff" + "x" * 9,
            [
                TOO_LONG,
                "Null characters are not allowed.",
                "Surrogate characters are not allowed: U+DFFF.",
            ],
        ),
    ],
)
def test_an_invalid_text_is_refused(value: Any, messages: list[str]) -> None:
    with pytest.raises(FieldError) as caught:
        TEXT.parse(value, CONTEXT)
    assert caught.value.messages == messages


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://pay.example.com/x?y=1&z=ä",
        "http://localhost",
        "http://localhost:8000/",
        "HTTPS://Example.COM",
        "ftp://example.com/file",
        "ftps://example.com/file#part",
        "https://user:secret@example.com:8443/a/b",
        "http://127.0.0.1:80/",
        "http://[2001:db8::1]/",
        "https://bücher.example/",
        "https://xn--bcher-kva.example/",
        "https://example.com?q=[a]{b}|c",
        "https://example.com./",
    ],
)
def test_a_valid_url_is_returned_unchanged(url: str) -> None:
    assert Url(200).parse(f" {url}\n", CONTEXT) == url


@pytest.mark.parametrize(
    "url",
    [
        "a.b",
        "example.com/pay",
        "//example.com/",
        "https:",
        "https://",
        "https:///path",
        "https:example.com",
        "https:/example.com",
        "https:\\\\example.com",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/a\nb",
        "https://example.com/\x1b",
        "https://example",
        "https://.com",
        "https://a..com",
        "https://-a.com",
        "https://a_b.example.com",
        "https://example.c",
        "https://1.2",
        "https://256.1.1.1",
        "https://0x7f.0.0.1",
        "https://[::1",
        "https://[1::2::3]/",
        "https://example.com:99999/",
        "https://example.com:port/",
        "ftps://exa<mple.com",
        "https://us\u2100er@example.com/",
        "https://a@b@example.com/",
        "https://exa\u2100mple.com/",
        "https://xn--a.example.com/",
        "https://example.com:1a/",
        "https://example.com:-1/",
        "https://[v1.a]/",
        "https://[fe80::1%25eth0]/",
        "https://example.com/\u2028x",
        "javascript:alert(1)",
        "javascript://example.com/%0aalert(1)",
        "data:text/html,x",
        "mailto:a@example.com",
        "gopher://example.com",
    ],
)
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(FieldError) as caught:
        Url(200).parse(url, CONTEXT)
    assert caught.value.messages == [INVALID_URL]


@pytest.mark.parametrize("value", [False, [], {}, 5, FilePart("f")])
def test_a_url_must_be_a_text(value: Any) -> None:
    with pytest.raises(FieldError) as caught:
        Url(200).parse(value, CONTEXT)
    assert caught.value.messages == [INVALID_URL]


def test_a_url_has_a_maximum_length() -> None:
    with pytest.raises(FieldError) as caught:
        Url(10).parse("x" * 11, CONTEXT)
    assert caught.value.messages == [TOO_LONG, INVALID_URL]
    with pytest.raises(FieldError) as caught:
        Url(10).parse("https://example.com/", CONTEXT)
    assert caught.value.messages == [TOO_LONG]


def test_a_valid_date_is_parsed() -> None:
    assert Date().parse("2026-11-05", CONTEXT) == date(2026, 11, 5)
    assert Date().parse("2024-02-29", CONTEXT) == date(2024, 2, 29)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " 2026-11-05 ",
        "2026-11-05\n",
        "2026-1-5",
        "20261105",
        "2026-W45-4",
        "2026-11-05T00:00:00Z",
        "2026-02-30",
        "0000-01-01",
        "05.11.2026",
        "\u0662\u0660\u0662\u0666-11-05",
        20261105,
        True,
        ["2026-11-05"],
        {},
        FilePart("f"),
    ],
)
def test_an_invalid_date_is_refused(value: Any) -> None:
    with pytest.raises(FieldError) as caught:
        Date().parse(value, CONTEXT)
    assert caught.value.messages == [INVALID_DATE]


def validate_or_none(kind: BodyField, value: str) -> Any:
    try:
        return kind.parse(value, CONTEXT)
    except FieldError:
        return None


@given(st.text())
def test_any_text_is_valid_or_refused(value: str) -> None:
    validated = validate_or_none(Text(200, blank=True), value)
    assert validated in (None, value.strip())
    assert validated is None or validated.encode()[:0] == b""  # no surrogates


@given(st.one_of(st.text(), st.text().map("https://{}".format), st.from_regex(r"https?://.*")))
def test_any_url_is_valid_or_refused(value: str) -> None:
    validated = validate_or_none(Url(200), value)
    assert validated in (None, value.strip())
    assert not validated or validated.lower().startswith("http")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2))
def test_a_decimal_of_few_digits_is_kept_exactly(value: Decimal) -> None:
    field = DecimalNumber(10, 2)
    if abs(value) < 10**8:
        parsed = field.parse(f"{value:f}", CONTEXT)
        assert parsed == value
        assert parsed.as_tuple().exponent == -2
        assert not (parsed.is_signed() and parsed.is_zero())
    else:
        with pytest.raises(FieldError):
            field.parse(f"{value:f}", CONTEXT)


@given(st.text(alphabet="0123456789.eE+- \x00_n"))
def test_any_number_is_refused_or_fits(text: str) -> None:
    parsed = validate_or_none(DecimalNumber(6, 3), text)
    if parsed is not None:
        assert abs(parsed) < 1000
        assert parsed == Decimal(text.strip())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "A valid number is required."),
        ("x", "A valid number is required."),
        (True, "A valid number is required."),
        ([], "A valid number is required."),
        ("1_000", "A valid number is required."),
        ("\u0661", "A valid number is required."),
        ("Infinity", "A valid number is required."),
        ("1" * 1001, "String value too large."),
        ("1e999999", "Ensure that there are no more than 6 digits in total."),
        ("1e-999999", "Ensure that there are no more than 6 digits in total."),
        ("1.2345", "Ensure that there are no more than 3 decimal places."),
        ("1234", "Ensure that there are no more than 3 digits before the decimal point."),
        ("-1", "Ensure this value is greater than or equal to 0."),
        ("101", "Ensure this value is less than or equal to 100."),
    ],
)
def test_an_invalid_number_is_refused(value: Any, message: str) -> None:
    field = DecimalNumber(6, 3, minimum=Decimal(0), maximum=Decimal(100))
    with pytest.raises(FieldError) as caught:
        field.parse(value, CONTEXT)
    assert caught.value.messages == [message]


@pytest.mark.parametrize(
    ("decimals", "valid", "invalid"),
    [(0, "12", "1.5"), (2, "99999999.99", "0.001"), (3, "1.234", "0.0001")],
)
def test_an_amount_has_the_decimals_of_the_currency(
    decimals: int, valid: str, invalid: str
) -> None:
    context = BodyContext(decimals=decimals)
    assert AmountNumber(10).parse(valid, context) == Decimal(valid)
    with pytest.raises(FieldError):
        AmountNumber(10).parse(invalid, context)


RECORD = UUID("a1b2c3d4-e5f6-7890-abcd-ef1234567890")


class Kind(StrEnum):
    """An enumeration."""

    ONE = "one"


class Attributes(TypedDict):
    """The known keys of an object."""


@pytest.mark.parametrize(
    ("field", "value", "parsed"),
    [
        (Boolean(), True, True),
        (Boolean(), "FALSE", False),
        (Boolean(), 0, False),
        (Integer(0, 12), "12", 12),
        (Integer(0, 12), 7.0, 7),
        (Choice(Kind), "one", Kind.ONE),
        (Email(), " a@example.com ", "a@example.com"),
        (Uuid(), RECORD.hex, RECORD),
        (JsonObject(Attributes), {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        (Timestamp(), "2026-11-05", datetime(2026, 11, 5, tzinfo=UTC)),
        (Timestamp(), "2026-11-05T10:00:00+02:00", datetime(2026, 11, 5, 8, tzinfo=UTC)),
        (Timestamp(), "2026-11-30T23:59:59.5Z", datetime(2026, 11, 30, 23, 59, 59, 500000, UTC)),
        (Link(("things",)), f"/api/things/{RECORD}/", RECORD),
        (Link(("things",)), f"https://any.example/prefix/api/things/{RECORD.hex}/?a=b", RECORD),
        (Links(("things",)), [f"/api/things/{RECORD}/", f"/api/things/{RECORD.hex}/"], [RECORD]),
    ],
)
def test_a_valid_value_is_parsed(field: BodyField, value: Any, parsed: Any) -> None:
    assert field.parse(value, CONTEXT) == parsed


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (Boolean(), 1.5, "Must be a valid boolean."),
        (Boolean(), [], "Must be a valid boolean."),
        (Integer(1, 12), "13", "Ensure this value is less than or equal to 12."),
        (Integer(1, 12), 0, "Ensure this value is greater than or equal to 1."),
        (Integer(1, 12), "1.5", "A valid integer is required."),
        (Integer(1, 12), True, "A valid integer is required."),
        (Choice(Kind), [], '"[]" is not a valid choice.'),
        (Choice(Kind), "\ud800", "Surrogate characters are not allowed: U+D800."),
        (Email(), "a", "Enter a valid email address."),
        (Email(), "A <a@example.com>", "Enter a valid email address."),
        (Email(), 5, "Enter a valid email address."),
        (Email(), {}, "Not a valid string."),
        (Uuid(), "x", "Must be a valid UUID."),
        (JsonObject(Attributes), {"a": "\0"}, "Null characters are not allowed."),
        (
            JsonObject(Attributes),
            [],
            'Expected a dictionary of items but got type "list".',
        ),
        (
            Timestamp(),
            "yesterday",
            "Datetime has wrong format. Use one of these formats instead:"
            " YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
        ),
        (Link(("things",)), f"/api/things/{RECORD}", "Invalid hyperlink - No URL match."),
        (Link(("things",)), f"/api/others/{RECORD}/", "Invalid hyperlink - Incorrect URL match."),
        (Link(("things",)), {}, "Incorrect type. Expected URL string, received dict."),
        (Links(("things",)), {}, 'Expected a list of items but got type "dict".'),
        (Links(("things",)), [None], "This field may not be null."),
        (Links(("things",)), ["x", "y"], "Invalid hyperlink - No URL match."),
    ],
)
def test_an_invalid_value_is_refused(field: BodyField, value: Any, message: str) -> None:
    with pytest.raises(FieldError) as caught:
        field.parse(value, CONTEXT)
    assert caught.value.messages == [message]
