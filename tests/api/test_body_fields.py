"""Validators of body fields: the valid values, and the message of each error."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.body_fields import Date, Text, Url
from app.api.multipart import FilePart
from app.api.request_model import BodyContext, FieldError

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


def validate_or_none(kind: Text | Url, value: str) -> str | None:
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
