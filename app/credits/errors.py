"""Errors of credits. The messages are part of the documented API."""

from app.domain_errors import InvalidField, NotFound, RuleViolation, WrongState


class CreditNotFound(NotFound):
    """The credit does not exist."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"No {kind} matches the given query.")


class CreditExists(InvalidField):
    """The customer or the project has a credit already."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner, f"{owner} credit with this {owner} already exists.")


class ProjectsExceedCredit(RuleViolation):
    """The projects of a customer would have more credit than the customer."""

    def __init__(self) -> None:
        super().__init__("The sum of project credits cannot exceed the credit for organization.")


class BalanceTooLarge(RuleViolation):
    """A balance would have more digits than are stored."""

    def __init__(self) -> None:
        super().__init__("The value of a credit must be less than 100000000000.")


class CreditPays(WrongState):
    """A credit that pays an invoice which is not issued remains with its customer."""

    def __init__(self) -> None:
        super().__init__(
            "The credit pays an invoice that is not issued: clear its compensations before."
        )


class NoCustomerCredit(RuleViolation):
    """A project has a share only of a credit that its customer has."""

    def __init__(self) -> None:
        super().__init__("Customer credit does not exist.")


class ProjectsHaveCredit(WrongState):
    """A customer's credit cannot be deleted while its projects have credit."""

    def __init__(self) -> None:
        super().__init__("Projects of the organization have credit: set it to 0 before.")


class AffiliateHasEarned(WrongState):
    """A link that earned fees keeps its organizations, and cannot be deleted."""

    def __init__(self) -> None:
        super().__init__("The affiliate has earned fees: set is_active to false instead.")
