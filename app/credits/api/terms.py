"""Fields that the credits of customers and projects share."""

from typing import Any
from uuid import UUID

from app import clock
from app.billing.compensation import CreditTerms, minimal_consumption
from app.billing.enums import MinimalConsumptionLogic
from app.billing.periods import Period
from app.credits.schemas import MinimalConsumptionLogicEnum
from app.database.lists import Row


def computed_terms(row: Row) -> dict[str, Any]:
    """Return the fields of the minimal consumption, which is that of the running month."""
    logic = MinimalConsumptionLogic(row["minimal_consumption_logic"])
    terms = CreditTerms(
        row["value"],
        row["end_date"],
        row["expected_consumption"],
        logic,
        row["grace_coefficient"],
        row["apply_as_minimal_consumption"],
    )
    return {
        "minimal_consumption": minimal_consumption(terms, Period.containing(clock.today())),
        "minimal_consumption_logic": MinimalConsumptionLogicEnum(logic),
        "grace_coefficient": f"{row['grace_coefficient']:f}",
    }


def with_links(offerings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return offerings, as a list of objects in JSON, with the UUID that their link needs."""
    return [each | {"uuid": UUID(each["uuid"]), "url": UUID(each["uuid"])} for each in offerings]
