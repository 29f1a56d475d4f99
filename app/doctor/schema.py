"""What the migrations made: the revision, every index, every trigger."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import PrimaryKeyConstraint, UniqueConstraint

from app.database.engine import Database
from app.database.migration import heads, is_current
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.models import metadata
from app.settings import Settings

_REFERENCES: Final = (
    "customers",
    "projects",
    "resources",
    "offerings",
    "categories",
    "offering_components",
    "plan_components",
    "service_providers",
)
_RECORDED: Final = ("invoices", "invoice_items", "payments")
TRIGGERS: Final = frozenset(
    {
        *((table, "revise_references_on_update") for table in _REFERENCES),
        ("service_providers", "revise_references_on_delete"),
        ("service_providers", "revise_references_on_insert"),
        *(("invoice_items", f"keep_totals_on_{word}") for word in ("delete", "insert", "update")),
        *(("invoice_items", f"price_{step}") for step in ("1_mark", "2_keep", "3_fill")),
        *(("invoice_items", f"hold_prices_on_{word}") for word in ("insert", "update")),
        *(("invoices", f"keep_total_cost_on_{word}") for word in ("insert", "update")),
        *((table, "only_add") for table in ("invoice_changes", "invoice_history")),
        *((table, "record_new") for table in _RECORDED),
        *((table, "record_changed") for table in _RECORDED),
        ("invoices", "record_gone"),
        ("invoices", "revise"),
        *(("invoices", f"tally_on_{word}") for word in ("delete", "insert", "update")),
    }
)
"""Tables and the triggers that the migrations gave them."""
_LOOK_AFTER: Final = "`python -m app job reconcile_totals` and `python -m app audit verify`"
_MIGRATE: Final = "Run `python -m app migrate`."
_NONE: Final = wrong("none is there", "See what is wrong with the revision and the privileges.")
"""Where not one is there, each by itself is not to be made again."""


async def revision(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell whether the database is migrated to what this release needs."""
    ours = ", ".join(sorted(heads()))
    async with database.reading() as connection:
        there = text("SELECT to_regclass('alembic_version') IS NOT NULL")
        if not (await connection.execute(there)).scalar_one():
            return [wrong("the database is not migrated at all", _MIGRATE)]
        found = await connection.execute(text("SELECT version_num FROM alembic_version"))
        revisions = set(found.scalars())
    if not is_current(revisions):
        return [
            wrong(f"at revision {', '.join(sorted(revisions)) or 'none'}, not {ours}", _MIGRATE)
        ]
    if revisions != heads():
        return [
            warning(
                f"at revision {', '.join(sorted(revisions))}, of a newer release than this one",
                "Finish the upgrade; this release works with it until then.",
            )
        ]
    return [well(f"at revision {ours}")]


async def indexes(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell which indexes are missing, or cannot be used."""
    async with database.reading() as connection:
        found = await connection.execute(
            text(
                "SELECT indexrelid::regclass::text, indisvalid AND indisready FROM pg_index"
                " JOIN pg_class ON pg_class.oid = indexrelid"
                " WHERE relnamespace = current_schema()::regnamespace"
            )
        )
        usable = {name.strip('"'): good for name, good in found}
    if not usable:
        return [_NONE]
    findings = [
        wrong(
            f"the index {name} was not built to its end, and helps nobody",
            f"REINDEX INDEX CONCURRENTLY {name}; where it is unique and that fails, look for"
            " duplicates.",
        )
        for name, good in usable.items()
        if not good
    ]
    findings += [
        wrong(
            f"the index {name} of {table} is missing",
            "Create it again as the migrations do, with CONCURRENTLY.",
        )
        for name, table in sorted(_wanted_indexes().items())
        if name not in usable
    ]
    return findings or [well(f"all {len(_wanted_indexes())} are there and valid")]


def _wanted_indexes() -> dict[str, str]:
    """Return the index names of the metadata, each with its table."""
    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]  # theirs
    wanted = {}
    for table in metadata.tables.values():
        for index in table.indexes:
            wanted[str(preparer.format_index(index))] = table.name
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint):
                wanted[str(preparer.format_constraint(constraint))] = table.name
    return wanted


async def triggers(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell which triggers are missing, or do not fire."""
    async with database.reading() as connection:
        found = await connection.execute(
            text(
                "SELECT relname::text, tgname::text, tgenabled IN ('O', 'A') FROM pg_trigger"
                " JOIN pg_class ON pg_class.oid = tgrelid"
                " WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
            )
        )
        firing = {(table, name): fires for table, name, fires in found}
    if not firing:
        return [_NONE]
    findings = []
    for table, name in sorted(TRIGGERS):
        if (table, name) not in firing:
            findings.append(
                wrong(
                    f"the trigger {name} of {table} is missing",
                    f"Create it again as the migrations do, then run {_LOOK_AFTER}.",
                )
            )
        elif not firing[table, name]:
            findings.append(
                wrong(
                    f"the trigger {name} of {table} is disabled",
                    f"ALTER TABLE {table} ENABLE TRIGGER {name}, then run {_LOOK_AFTER}.",
                )
            )
    return findings or [well(f"all {len(TRIGGERS)} are there and fire")]
