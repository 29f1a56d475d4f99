"""The parts of a mail are what Python's email package reads back from them."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

from aiosmtplib.protocol import PERIOD_REGEX, normalize_message_line_endings
from hypothesis import given
from hypothesis import strategies as st

from app.notifications.attachments import encode_attachment
from app.notifications.outgoing import OutgoingMail, multipart, text_part
from app.notifications.smtp import quote_dots

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
lines = st.lists(texts | st.sampled_from([".", "..", " ", "x" * 200, "From me"]), max_size=5)
pieces = st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"a", b"..", b"\r\n.", b" "])


def read(content: bytes) -> EmailMessage:
    parsed = message_from_bytes(content, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert parsed.defects == []
    return parsed


@given(lines)
def test_a_text_is_read_as_it_was_written(lines: list[str]) -> None:
    text = "\n".join(lines)
    part = text_part("plain", text)
    assert all(len(line) <= 76 for line in part.split(b"\r\n"))
    assert part.isascii()
    assert part.count(b"\n") == part.count(b"\r") == part.count(b"\r\n")
    found = read(part)
    assert found.get_content_type() == "text/plain"
    content = found.get_payload(decode=True)
    assert isinstance(content, bytes)
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert content.decode().replace("\r\n", "\n") == expected


@given(st.binary(max_size=500))
def test_a_file_is_read_as_it_was_written(content: bytes) -> None:
    attachment = encode_attachment("invoice-1.pdf", "application/pdf", content)
    assert attachment.size == len(content)
    found = read(attachment.part)
    assert found.get_content() == content
    assert found.get_filename() == "invoice-1.pdf"
    assert found.get_content_disposition() == "attachment"


def test_a_mail_has_its_parts_in_order() -> None:
    message = EmailMessage()
    message["From"] = "billing@example.com"
    message["To"] = "ada@example.com"
    texts = multipart("alternative", [text_part("plain", "Hello\n"), text_part("html", "<p>")])
    files = [encode_attachment(f"{n}.pdf", "application/pdf", b"%d" % n).part for n in range(2)]
    mail = OutgoingMail(message, multipart("mixed", [texts, *files]))
    found = read(mail.as_bytes(utf8=False))
    assert found["To"] == "ada@example.com"
    assert [part.get_content_type() for part in found.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html",
        "application/pdf", "application/pdf",
    ]  # fmt: skip
    assert [part.get_content() for part in found.iter_attachments()] == [b"0", b"1"]


@given(st.lists(pieces, max_size=12).map(b"".join))
def test_content_is_quoted_as_smtp_requires(content: bytes) -> None:
    quoted = quote_dots(content)
    assert quoted == PERIOD_REGEX.sub(b"..", normalize_message_line_endings(content))
