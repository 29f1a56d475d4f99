"""E-mail addresses in headers and envelopes."""

import re
from dataclasses import dataclass
from email.errors import MessageError, NonASCIILocalPartDefect
from email.headerregistry import Address
from email.policy import SMTP
from typing import Any, Final

import idna

_PART: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^<>]*>|[^,;\r\n])+')
"""Text up to the next separator that is neither in a quoted name nor in angle brackets."""


class InvalidAddress(ValueError):
    """A text is not exactly one e-mail address; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address, with an optional name; the domain is in its ASCII form, as DNS needs it."""

    name: str
    user: str
    domain: str

    @classmethod
    def parse(cls, value: str) -> "Mailbox":
        """Parse `user@domain` or `Name <user@domain>`.

        Raises InvalidAddress for anything else: several addresses, none, line breaks.
        """
        try:
            header: Any = SMTP.header_factory("To", value)
        except (MessageError, ValueError, IndexError) as error:
            raise InvalidAddress(f"{value!r} is not an e-mail address.") from error
        defects = [d for d in header.defects if not isinstance(d, NonASCIILocalPartDefect)]
        if defects or len(header.addresses) != 1:
            raise InvalidAddress(f"{value!r} is not an e-mail address.")
        address: Address = header.addresses[0]
        if not address.username or not address.domain:
            raise InvalidAddress(f"{value!r} is not an e-mail address.")
        try:
            domain = _in_ascii(address.domain)
        except idna.IDNAError as error:
            raise InvalidAddress(f"{value!r} has an invalid domain.") from error
        return cls(address.display_name, address.username, domain)

    @property
    def address(self) -> str:
        """The address without the name, for the envelope."""
        return Address(username=self.user, domain=self.domain).addr_spec

    @property
    def for_header(self) -> Address:
        """The address with its name, for a header."""
        return Address(self.name, self.user, self.domain)


def split_addresses(text: str) -> list[str]:
    """Split a text into addresses, stripped, without empty parts.

    Separators are commas (RFC 5322), semicolons and line breaks (which mail programs accept), and
    white space between bare addresses. The parts are not validated.
    """
    return [address for part in _PART.findall(text) for address in _bare_addresses(part) if address]


def _bare_addresses(part: str) -> list[str]:
    words = part.split()
    if all("@" in word for word in words) and not {"<", '"'} & set(part):
        return words
    return [part.strip()]


def _in_ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    # Python's own codec follows IDNA 2003, which maps straße.de to strasse.de, another domain.
    return idna.encode(domain, uts46=True).decode("ascii")
