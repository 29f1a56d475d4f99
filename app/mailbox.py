"""E-mail addresses as they stand in headers and envelopes."""

from dataclasses import dataclass
from email.errors import MessageError, NonASCIILocalPartDefect
from email.headerregistry import Address
from email.policy import SMTP
from typing import Any

import idna


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


def _in_ascii(domain: str) -> str:
    if domain.isascii():
        return domain
    # Not Python's own codec, which knows the rules of 2003: it makes straße.de into strasse.de,
    # which belongs to somebody else.
    return idna.encode(domain, uts46=True).decode("ascii")
