"""Parsing of e-mail addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailbox import InvalidAddress, Mailbox, split_addresses


@pytest.mark.parametrize(
    ("text", "address", "header"),
    [
        ("billing@localhost", "billing@localhost", "billing@localhost"),
        (
            "Ä Firm <b@bücher.example>",
            "b@xn--bcher-kva.example",
            "Ä Firm <b@xn--bcher-kva.example>",
        ),
        ("b@Straße.example", "b@xn--strae-oqa.example", "b@xn--strae-oqa.example"),
        ("ä@example.com", "ä@example.com", "ä@example.com"),
        ('"a b"@example.com', '"a b"@example.com', '"a b"@example.com'),
    ],
)
def test_an_address_is_parsed(text: str, address: str, header: str) -> None:
    mailbox = Mailbox.parse(text)
    assert mailbox.address == address
    assert str(mailbox.for_header) == header


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a b@example.com",
        "a@example..com",
        "a@b.example, c@d.example",
        "a@example.com>",
        "a@example.com\r\nBcc: everyone@example.com",
        "Firm\nBcc: everyone@example.com <a@example.com>",
        "a@" + 70 * "ü" + ".example",
        "a@ü..example",
        "\ud800@example.com",
    ],
)
def test_a_text_that_is_not_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        Mailbox.parse(text)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a@x.example", ["a@x.example"]),
        ("a@x.example, b@x.example", ["a@x.example", "b@x.example"]),
        ("a@x.example;b@x.example ; ", ["a@x.example", "b@x.example"]),
        ("a@x.example\r\nb@x.example", ["a@x.example", "b@x.example"]),
        ("a@x.example b@x.example\tc@x.example", ["a@x.example", "b@x.example", "c@x.example"]),
        (
            '"Doe; John, Jr." <j@x.example>, Ada <a@x.example>',
            ['"Doe; John, Jr." <j@x.example>', "Ada <a@x.example>"],
        ),
        ('"a b"@x.example', ['"a b"@x.example']),
        ('"a@b c@d"@x.example', ['"a@b c@d"@x.example']),
        ("Ada Lovelace <a@x.example>", ["Ada Lovelace <a@x.example>"]),
        # A quote without its end is no name that a comma may stand in.
        ('"a, b@x.example', ['"a', "b@x.example"]),
        ("ask Mary, b@x.example", ["ask Mary", "b@x.example"]),
        (" ,; ", []),
    ],
)
def test_a_text_is_split_into_addresses(text: str, addresses: list[str]) -> None:
    assert split_addresses(text) == addresses


_word = st.text("abc-_.é", min_size=1).map(lambda text: f"{text}@x.example")
_quoted = st.text('ab,;" <>\\', max_size=9).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '" <q@x.example>'
)


@given(
    st.lists(st.one_of(_word, _quoted), min_size=1),
    st.lists(st.sampled_from([",", ";", "\n", " , ", ";;"]), min_size=20, max_size=20),
)
def test_joined_addresses_are_split_again(addresses: list[str], separators: list[str]) -> None:
    text = "".join(
        f"{address}{separators[number % 20]}" for number, address in enumerate(addresses)
    )
    assert split_addresses(text) == addresses
