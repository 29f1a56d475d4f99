"""Cost exports for tests: rows with the columns that each needs, and files of them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

BASIC: dict[str, str] = {
    "BilledCost": "1.00",
    "BillingAccountId": "acc-1",
    "BillingAccountName": "Õunaaed OÜ",
    "BillingCurrency": "EUR",
    "BillingPeriodStart": "2026-09-01 00:00:00",
    "BillingPeriodEnd": "2026-10-01 00:00:00",
    "ChargeCategory": "Usage",
    "ChargeDescription": "Hours of a machine",
    "ChargePeriodStart": "2026-09-10 10:00:00",
    "ChargePeriodEnd": "2026-09-10 11:00:00",
    "ConsumedQuantity": "1",
    "ConsumedUnit": "Hours",
    "PricingQuantity": "1",
    "PricingUnit": "Hours",
    "ProviderName": "Pilveke",
    "ResourceId": "vm-1",
    "ResourceName": "masin",
    "ServiceCategory": "Compute",
    "ServiceName": "Machines",
    "SubAccountId": "sub-1",
    "SubAccountName": "Team A",
}


def row(**cells: str) -> dict[str, str]:
    """Return a row; its cells are the basic ones unless given."""
    return {**BASIC, **cells}


def write(
    path: Path, rows: Iterable[dict[str, str]], columns: Sequence[str] = tuple(BASIC)
) -> Path:
    """Write rows to a file and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer: Any = csv.DictWriter(file, columns, restval="NULL", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def many(count: int) -> Iterable[dict[str, str]]:
    """Yield rows of three accounts, many resources and tiny costs."""
    for number in range(count):
        yield row(
            BilledCost=f"0.{number * 7919 % 10**11:011}",
            BillingAccountId=f"acc-{number % 3}",
            SubAccountId=f"sub-{number % 40}",
            SubAccountName="NULL",
            ResourceId=f"vm-{number % 20_000}",
            ServiceName=f"Service {number % 12}",
            ChargeDescription=f"Price {number % 60}",
            ChargePeriodStart=f"2026-09-{number % 28 + 1:02} {number % 24:02}:00:00",
            ChargePeriodEnd=f"2026-09-{number % 28 + 1:02} {number % 24:02}:30:00",
        )
