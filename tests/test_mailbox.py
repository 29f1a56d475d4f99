"""What counts as an e-mail address."""

import pytest

from app.mailbox import InvalidAddress, Mailbox


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
def test_an_address_is_read(text: str, address: str, header: str) -> None:
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
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        Mailbox.parse(text)
