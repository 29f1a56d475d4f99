"""E-mail addresses as they stand in headers and envelopes."""

import re
from dataclasses import dataclass
from email.errors import MessageError, NonASCIILocalPartDefect
from email.headerregistry import Address
from email.policy import SMTP
from typing import Any, Final

import idna

_PART: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|<[^<>]*>|[^,;\r\n])+')
"""Up to the next separator that is neither in a quoted name nor in angle brackets."""


class InvalidAddress(ValueError):
    """A text that is not one e-mail address; its message says so in a sentence."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address, perhaps with a name; the domain is in its ASCII form, ready for DNS."""

    name: str
    user: str
    domain: str

    @classmethod
    def parse(cls, value: str) -> "Mailbox":
        """Read `user@domain` or `Name <user@domain>`.

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
            raise InvalidAddress(f"{value!r} has a domain that cannot exist.") from error
        return cls(address.display_name, address.username, domain)

    @property
    def address(self) -> str:
        """The address alone, for the envelope."""
        return Address(username=self.user, domain=self.domain).addr_spec

    @property
    def for_header(self) -> Address:
        """The address with its name, for a header."""
        return Address(self.name, self.user, self.domain)


def split_addresses(text: str) -> list[str]:
    """Cut a text of several addresses into them, trimmed; empty parts are left out.

    Commas separate (RFC 5322), and so do semicolons and line breaks, which mail programs take, too;
    white space does where it stands between bare addresses. No part needs to be an address.
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
    # Not Python's own codec, which knows the rules of 2003: it makes straße.de into strasse.de,
    # which belongs to somebody else.
    return idna.encode(domain, uts46=True).decode("ascii")
