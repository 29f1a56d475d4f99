"""A mail on its way out: its headers, and parts that are encoded already.

Python's email package folds and encodes the headers. It would take longer than all else of a mail
to build and write the parts, whose headers are constant and whose content is encoded by one call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from quopri import encodestring
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A message to one recipient: a whole one, or headers and the body as a part."""

    message: EmailMessage
    body: bytes = b""
    """The headers and the content of the body; empty if the message is whole."""

    @property
    def sender(self) -> str:
        """The address of the sender."""
        address: str = self.message["From"].addresses[0].addr_spec
        return address

    @property
    def recipient(self) -> str:
        """The address of the recipient."""
        address: str = self.message["To"].addresses[0].addr_spec
        return address

    def as_bytes(self, *, utf8: bool) -> bytes:
        """Return the whole message; addresses in headers may be non-ASCII with `utf8`."""
        content = self.message.as_bytes(policy=SMTPUTF8 if utf8 else SMTP)
        if not self.body:
            return content
        return b"%bMIME-Version: 1.0\r\n%b" % (content.removesuffix(b"\r\n"), self.body)


def text_part(subtype: str, text: str) -> bytes:
    """Return a text as a part, in UTF-8 and quoted-printable."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    return (
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode("ascii") + encodestring(lines).replace(b"\n", b"\r\n")


def multipart(subtype: str, parts: Sequence[bytes]) -> bytes:
    """Return a part of parts (RFC 2046, 5.1)."""
    # "=_" is in no quoted-printable or base64 text.
    boundary = f"=_{uuid4().hex}".encode("ascii")
    head = b'Content-Type: multipart/%b; boundary="%b"\r\n' % (subtype.encode("ascii"), boundary)
    delimited = [b"\r\n--%b\r\n%b" % (boundary, part) for part in parts]
    return b"".join([head, *delimited, b"\r\n--%b--\r\n" % boundary])
