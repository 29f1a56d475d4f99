"""The numbers of a generated data set, on which cases and tests rely."""

from dataclasses import dataclass

from app.billing.periods import Period

GENERATOR = 3
"""Increased with each change of the generator, so that databases are created again."""
SEED = 20_260_101
MONTHS = 13
"""How many months have invoices: those that growth shows."""

CANCELED_MONTH = 3
"""Months before the running one in which a fixed number of invoices is canceled."""
DEAR_MONTH = 5
"""Months before the running one in which a fixed number of invoices exceeds `DEAR_SUM`."""
LARGE_MONTH = 8
"""Months before the running one to which the invoices of many items belong."""
DEAR_SUM = 100_000
FIRST_NUMBER = 100_001

STAFF_KEY = "benchmark-staff"
OWNER_KEY = "benchmark-owner"
"""Keys of tokens; the data is fictitious and reachable from this machine only."""
OWNED_CUSTOMERS = 3


@dataclass(frozen=True)
class Shape:
    """How many of each; all but `invoices` is the same for every size, so that sizes compare.

    Customers are numbered from 1. Those up to `twenties` have an invoice of 20 items each month,
    the others up to `regular` one of 5. The remaining have a single invoice each: the first
    `larges` one of `large` items, the next one of `huge` items, and the last few one of 5.
    """

    invoices: int
    twenties: int = 210
    canceled: int = 200
    dear: int = 100
    larges: int = 100
    large: int = 500
    huge: int = 100_000

    def __post_init__(self) -> None:
        if self.regular < self.twenties + self.canceled or self.dear > self.twenties:
            raise ValueError(f"{self.invoices} invoices are too few for the rest of {self}")

    @property
    def regular(self) -> int:
        """Customers with an invoice in every month."""
        return (self.invoices - self.larges - 1) // MONTHS

    @property
    def customers(self) -> int:
        """Customers that are invoiced; sellers come after them."""
        return self.regular + self.invoices - MONTHS * self.regular

    @property
    def large_customers(self) -> range:
        """The customers of the invoices with `large` items."""
        return range(self.regular + 1, self.regular + self.larges + 1)

    @property
    def huge_customer(self) -> int:
        """The customer of the invoice with `huge` items."""
        return self.regular + self.larges + 1

    @property
    def items(self) -> int:
        """Items of all invoices."""
        fives = self.invoices - self.larges - 1 - MONTHS * self.twenties
        large = self.larges * self.large
        return 5 * fives + 20 * MONTHS * self.twenties + large + self.huge

    def items_of(self, customer: int) -> int:
        """Return how many items each invoice of a customer has."""
        if customer <= self.twenties:
            return 20
        if customer in self.large_customers:
            return self.large
        return self.huge if customer == self.huge_customer else 5

    def invoiced(self, age: int) -> list[int]:
        """Return the customers with an invoice `age` months ago, in the order of its numbers.

        Pages are cut from the newest month and the highest number on: in the newest month the
        invoices of 20 items come last and in the oldest first, so that both ends of the list
        consist of them.
        """
        many = list(range(1, self.twenties + 1))
        few = list(range(self.twenties + 1, self.regular + 1))
        if age == LARGE_MONTH:
            few += range(self.regular + 1, self.customers + 1)
        return many + few if age == MONTHS - 1 else few + many

    def state(self, customer: int, age: int) -> str:
        """Return the state of an invoice."""
        if age == 0:
            return "pending"
        if age == CANCELED_MONTH:
            canceled = self.twenties < customer <= self.twenties + self.canceled
            return "canceled" if canceled else "paid"
        if age <= 2:
            return "created" if customer % 3 else "paid"
        return "canceled" if customer % 100 == 99 else "paid"

    def is_dear(self, customer: int, age: int) -> bool:
        """Return whether an invoice is one of those whose totals exceed `DEAR_SUM`."""
        return age == DEAR_MONTH and customer <= self.dear


def months(running: Period) -> list[Period]:
    """Return the months that have invoices, oldest first."""
    return [running.shifted(-age) for age in range(MONTHS - 1, -1, -1)]
