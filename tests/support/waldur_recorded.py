"""The rows of a running Waldur, as one of 2024 and as one of the releases 8 stores them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.support.waldur import Columns, Rows, recorded
from tests.support.waldur_sample import uid

Row = dict[str, Any]
_DEFAULTS: Final = {
    "applies_to_portal": True,
    "apply_as_minimal_consumption": True,
    "display_billing_info_in_projects": True,
    "minimal_consumption_logic": "fixed",
}
"""The values of new columns that the releases 8 set in the rows that were there."""
_NEUTRAL: Final[dict[str, Any]] = {
    "boolean": False,
    "integer": 0,
    "bigint": 0,
    "smallint": 0,
    "numeric": 0,
    "double": 0,
    "jsonb": {},
    "timestamp": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "uuid": uid("neutral"),
}
"""The values of other columns, by the first word of their type; a text is empty."""


def release_2024(shared: Path) -> tuple[Columns, Rows]:
    """Return the tables of October 2024, with the rows of all groups."""
    columns, rows = recorded(shared)
    siblings = json.loads((shared / "recorded" / "siblings_rows.json").read_text())
    return {**columns, **siblings["columns"]}, _replaced(rows, siblings["rows"])


def release_8(shared: Path) -> tuple[Columns, Rows]:
    """Return the tables of the releases 8, with the same rows and some of the new kinds."""
    older_columns, rows = release_2024(shared)
    columns = json.loads((shared / "recorded" / "waldur_columns_8.json").read_text())
    for table in columns.values():
        table.pop("_evidence", None)
    tables = {**older_columns, **columns}
    converted = {
        table: [_converted(row, tables[table]) for row in rows.get(table, ())] for table in tables
    }
    added = {
        table: [{**_converted({}, tables[table]), **row} for row in new]
        for table, new in _NEW_ROWS.items()
    }
    return tables, _replaced(converted, added)


def _replaced(rows: Rows, others: Rows) -> dict[str, list[Row]]:
    """Return the rows with others in the places of those that have their ids."""
    merged: dict[str, list[Row]] = {}
    for table in {**rows, **others}:
        by_id: dict[Any, Row] = {
            row.get("id", row.get("key")): dict(row)
            for row in [*rows.get(table, ()), *others.get(table, ())]
        }
        merged[table] = sorted(by_id.values(), key=lambda row: str(row.get("id", "")).zfill(9))
    return merged


def _converted(row: Mapping[str, Any], columns: Mapping[str, str]) -> Row:
    """Return a row with neutral values in the columns that must have one."""
    if "minimal_consumption" in row:
        row = {**row, "expected_consumption": row["minimal_consumption"]}
    return {
        name: _neutral(name, kind) if row.get(name) is None else row[name]
        for name, kind in columns.items()
    }


def _neutral(name: str, kind: str) -> Any:
    if not kind.endswith("not null") or name in _DEFAULTS:
        return _DEFAULTS.get(name)
    first_word = kind.split(maxsplit=1)[0].partition("(")[0]
    return _NEUTRAL.get(first_word, "")


_NEW_ROWS: Final[dict[str, list[Row]]] = {
    "django_content_type": [{"id": 20, "app_label": "invoices", "model": "invoice"}],
    "core_personalaccesstoken": [{"id": 1, "uuid": uid("personal-token"), "user_id": 1002}],
    "structure_accesssubnet": [
        {
            "id": 100,
            "uuid": uid("offering-subnet"),
            "customer_id": 101,
            "inet": "198.51.100.7/32",
            "applies_to_portal": False,
        }
    ],
    "invoices_credittransaction": [
        {
            "id": 1,
            "uuid": uid("movement"),
            "amount": "-1.25000",
            "transaction_type": "compensation",
            "credit_id": 1,
            "project_uuid": "157f5a2bd03c59dd81c2dbb6a06a2e96",
            "project_name": "Project 1-C",
            "billing_period": "2026-10-01",
            "content_type_id": 20,
            "object_id": 112,
        }
    ],
    "invoices_customeraffiliate": [
        {
            "id": 1,
            "uuid": uid("affiliate"),
            "customer_id": 101,
            "affiliate_id": 103,
            "fee_percent": "2.50000",
            "is_active": True,
        }
    ],
    "invoices_affiliatefeeaccrual": [
        {
            "id": 1,
            "uuid": uid("fee"),
            "affiliate_link_id": 1,
            "invoice_id": 112,
            "amount": "3.12500",
        }
    ],
}
