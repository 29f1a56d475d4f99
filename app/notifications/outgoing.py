"""A mail on its way out: its headers and texts, and files that are encoded already."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A message to one recipient, and further parts of it as bytes.

    A message with parts is `multipart/mixed` with a boundary. The parts stand behind its own: the
    email package would encode each file anew for each recipient.
    """

    message: EmailMessage
    parts: Sequence[bytes] = ()

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
        if not self.parts:
            return content
        delimiter = f"--{self.message.get_boundary()}".encode("ascii")
        end = delimiter + b"--\r\n"  # RFC 2046, 5.1.1
        parts = [b"%b\r\n%b\r\n" % (delimiter, part) for part in self.parts]
        return b"".join([content.removesuffix(end), *parts, end])
