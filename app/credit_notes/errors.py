"""Errors of credit notes. The messages are part of the documented API."""

from uuid import UUID

from app.domain_errors import InvalidField, NotFound, WrongState


class CreditNoteNotFound(NotFound):
    """The credit note does not exist."""

    def __init__(self) -> None:
        super().__init__("No CreditNote matches the given query.")


class NothingLeft(WrongState):
    """Earlier credit notes gave back every item of the invoice."""

    def __init__(self) -> None:
        super().__init__("Nothing of the invoice is left to be credited.")


class ItemExceeded(WrongState):
    """The credit is larger than the part that earlier credit notes have left of the item."""

    def __init__(self, item: UUID) -> None:
        super().__init__(f"The credit of the item {item} is more than is left of it.")


class TotalExceeded(WrongState):
    """The credit is larger than the part that is left of the invoice's total."""

    def __init__(self) -> None:
        super().__init__("The credit is more than is left of the total of the invoice.")


class UnknownItem(InvalidField):
    """The invoice has no such item, or earlier credit notes gave it back."""

    def __init__(self, item: UUID) -> None:
        super().__init__("items", f"The invoice has no item {item} that can be credited.")


class RepeatedItem(InvalidField):
    """The request names an item twice."""

    def __init__(self, item: UUID) -> None:
        super().__init__("items", f"The item {item} is given more than once.")


class InvalidItemPart(InvalidField):
    """The quantity or price of an item is zero, has the other sign, or gives nothing back."""

    def __init__(self, item: UUID) -> None:
        super().__init__(
            "items", f"The quantity and price of the item {item} need its sign and are not zero."
        )
