"""What keeps a document from being written in a profile."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.documents.document import DocumentLine

MOST_LINE_PROBLEMS: Final = 100
"""The number of problems of lines that are kept."""


class Subject(StrEnum):
    """The record that a problem is about."""

    ISSUER = "issuer"
    CUSTOMER = "customer"
    INVOICE = "invoice"
    ITEM = "item"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A value that is missing or wrong."""

    term: str
    """The business term of EN 16931, such as BT-37."""
    rule: str
    """The official rule that refuses the document; empty if there is none."""
    of: Subject
    field: str
    where: str
    """The place where the value is set."""
    message: str
    item: UUID | None = None
    """The item of a problem of the kind `item`."""

    def as_json(self) -> dict[str, str]:
        """Return the members of the problem as JSON values, without an `item` that is null."""
        values = asdict(self)
        return {name: str(value) for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        """Return a line for an operator."""
        return f"{self.term} {self.field} of the {self.of}: {self.message} Set it in {self.where}."


_TERMS: Final = {
    "name": ("BT-27", "BT-44", "name"),
    "registration_code": ("BT-30", "BT-47", "registration code"),
    "registration_scheme": ("BT-30", "BT-47", "scheme of the registration code"),
    "vat_code": ("BT-31", "BT-48", "VAT number"),
    "tax_number": ("BT-32", "BT-48", "tax number"),
    "endpoint": ("BT-34", "BT-49", "electronic address"),
    "endpoint_scheme": ("BT-34", "BT-49", "scheme of the electronic address"),
    "address": ("BT-35", "BT-50", "street"),
    "city": ("BT-37", "BT-52", "city"),
    "postal": ("BT-38", "BT-53", "post code"),
    "country": ("BT-40", "BT-55", "country"),
    "contact_name": ("BT-41", "BT-56", "name of the contact"),
    "phone_number": ("BT-42", "BT-57", "telephone number"),
    "email": ("BT-43", "BT-58", "email address"),
    "buyer_reference": ("", "BT-10", "reference"),
    "tax_category": ("", "BT-118", "tax category"),
    "tax_exemption_code": ("", "BT-121", "code of the tax exemption"),
    "tax_exemption_reason": ("", "BT-120", "reason of the tax exemption"),
    "bank_account": ("BT-84", "", "bank account"),
}
"""By the name of a field: the terms of the seller and of the buyer, and a name for people."""


class Findings:
    """Collects problems; a field has one problem at most, the first that is found."""

    def __init__(self, number: str, customer: UUID | None, invoice: str) -> None:
        """Collect the problems of a document of a number, of an invoice of a number."""
        self._number = number
        self._completes = f", then `python -m app document complete {invoice}`"
        self._customer = f"customer {customer}" if customer else "the customer"
        self._found: dict[tuple[Subject, str], Problem] = {}
        self._of_lines: list[Problem] = []

    def missing(
        self, of: Subject, field: str, rule: str, message: str = "", *, term: str = ""
    ) -> None:
        """Add a value of the seller or the buyer that is missing and may be filled in later."""
        text = message or f"The {self._label(of, field)} is missing."
        self._add(of, field, rule, text, term=term, then=self._completes)

    def wrong(
        self, of: Subject, field: str, rule: str, message: str = "", *, term: str = ""
    ) -> None:
        """Add a value of the seller or the buyer that is wrong, for a reason."""
        text = message or f"The {self._label(of, field)} is wrong."
        self._add(of, field, rule, text, term=term)

    def _add(  # noqa: PLR0913 - the values of a problem
        self, of: Subject, field: str, rule: str, message: str, *, term: str = "", then: str = ""
    ) -> None:
        seller_term, buyer_term, _ = _TERMS[field]
        is_seller = of is Subject.ISSUER
        where = (
            f"ISSUER_DETAILS, key {field}"
            if is_seller
            else f"{self._customer}, field {field}, by an import of customers"
        )
        problem = Problem(
            term=term or (seller_term if is_seller else buyer_term),
            rule=rule,
            of=of,
            field=field,
            where=where + then,
            message=message,
        )
        self._found.setdefault((of, field), problem)

    def missing_means(self, rule: str) -> None:
        """Add that a document has no means of payment."""
        message = "There is neither a bank account of the seller nor a payment URL."
        self.missing(Subject.ISSUER, "bank_account", rule, message, term="BT-81")

    def document(self, term: str, field: str, rule: str, message: str, *, where: str = "") -> None:
        """Add a value of the document itself."""
        problem = Problem(
            term=term,
            rule=rule,
            of=Subject.INVOICE,
            field=field,
            where=where or f"invoice {self._number}, {field}",
            message=message,
        )
        self._found.setdefault((Subject.INVOICE, field), problem)

    def line(self, line: DocumentLine, term: str, field: str, rule: str, message: str) -> None:
        """Add a value of a line, unless there are many already."""
        if len(self._of_lines) < MOST_LINE_PROBLEMS:
            self._of_lines.append(
                Problem(
                    term=term,
                    rule=rule,
                    of=Subject.ITEM,
                    field=field,
                    where=f"item {line.uuid}, field {field}",
                    message=message,
                    item=line.uuid,
                )
            )

    def all(self) -> Sequence[Problem]:
        """Return the problems: of the seller, the buyer, the document, the lines."""
        order = list(Subject)
        found = sorted(self._found.values(), key=lambda problem: order.index(problem.of))
        return [*found, *self._of_lines]

    @staticmethod
    def _label(of: Subject, field: str) -> str:
        return f"{_TERMS[field][2]} of the {'seller' if of is Subject.ISSUER else 'buyer'}"
