"""Checks of the schema: the revision, every index, every trigger and function."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import PrimaryKeyConstraint, UniqueConstraint

from app.database import ddl
from app.database.engine import Database
from app.database.revisions import is_current, newest_revision
from app.doctor.check_result import CheckResult, warning, well, wrong
from app.models import metadata
from app.settings import Settings

_CHECK_DATA: Final = "`python -m app job reconcile_totals` and `python -m app audit verify`"
_MIGRATE: Final = "Run `python -m app migrate`."
SCHEMA_OID: Final = """(
    SELECT c.relnamespace FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relname = 'invoices' AND c.relkind = 'r'
    ORDER BY n.nspname = ANY (string_to_array(current_setting('search_path'), ', ')) DESC
    LIMIT 1
)"""
"""The schema of the service's tables, found even without privileges on it."""
_HAS_TABLES: Final = text(f"SELECT {SCHEMA_OID} IS NOT NULL")
_INDEXES: Final = text(f"""
SELECT relname::text, indisvalid AND indisready FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = {SCHEMA_OID}
""")  # noqa: S608 - made of constants
_TRIGGERS: Final = text(f"""
SELECT relname::text, tgname::text, tgenabled IN ('O', 'A') FROM pg_trigger
JOIN pg_class ON pg_class.oid = tgrelid
WHERE NOT tgisinternal AND relnamespace = {SCHEMA_OID}
""")  # noqa: S608 - made of constants
_FUNCTIONS: Final = text(f"""
SELECT proname::text, prosrc FROM pg_proc WHERE pronamespace = {SCHEMA_OID}
""")  # noqa: S608 - made of constants


async def has_tables(database: Database) -> bool:
    """Return whether the database has tables of the service."""
    async with database.reading() as connection:
        return bool((await connection.execute(_HAS_TABLES)).scalar_one())


async def _applied_revisions(database: Database) -> frozenset[str]:
    """Return the revisions that the database has; none if it was never migrated."""
    async with database.reading() as connection:
        exists = text("SELECT to_regclass('alembic_version') IS NOT NULL")
        if not (await connection.execute(exists)).scalar_one():
            return frozenset()
        rows = await connection.execute(text("SELECT version_num FROM alembic_version"))
        return frozenset(rows.scalars())


async def revision(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Compare the revision of the database with the one that this release needs."""
    ours = newest_revision()
    revisions = await _applied_revisions(database)
    theirs = ", ".join(sorted(revisions))
    if not revisions:
        yield wrong("the database is not migrated, so it has no tables to check", _MIGRATE)
    elif not is_current(revisions):
        yield wrong(f"the database is at revision {theirs}, not {ours}", _MIGRATE)
    elif revisions != {ours}:
        yield warning(
            f"the database is at revision {theirs}, of a newer release than this one",
            "Finish the upgrade; this release works with it until then.",
        )
    else:
        yield well(f"the database is at revision {ours}")


async def indexes(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Return each index that is missing or invalid."""
    async with database.reading() as connection:
        rows = await connection.execute(_INDEXES)
        is_valid: dict[str, bool] = dict(rows.all())
    required = _required_indexes()
    invalid = [name for name, valid in is_valid.items() if not valid]
    missing = sorted(required.keys() - is_valid.keys())
    for name in invalid:
        yield wrong(
            f"the index {name} is invalid, because its creation did not finish",
            f"REINDEX INDEX CONCURRENTLY {name}; if it is unique and that fails, look for"
            " duplicates.",
        )
    for name in missing:
        yield wrong(
            f"the index {name} of {required[name]} is missing",
            "Create it again as the migrations do, with CONCURRENTLY.",
        )
    if not invalid and not missing:
        yield well(f"all {len(required)} indexes exist and are valid")


def _required_indexes() -> dict[str, str]:
    """Return the index names of the metadata, each with its table."""
    preparer = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]  # theirs
    required = {}
    for table in metadata.tables.values():
        for index in table.indexes:
            required[preparer.format_index(index).strip('"')] = table.name
        for constraint in table.constraints:
            if isinstance(constraint, UniqueConstraint | PrimaryKeyConstraint):
                required[str(preparer.format_constraint(constraint)).strip('"')] = table.name
    return required


async def triggers(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Return each trigger that is missing or disabled, and each function that differs.

    A database of a newer release may have other functions; only their absence is reported there.
    """
    is_same_release = await _applied_revisions(database) == {newest_revision()}
    async with database.reading() as connection:
        rows = await connection.execute(_TRIGGERS)
        is_enabled = {(table, name): enabled for table, name, enabled in rows}
        rows = await connection.execute(_FUNCTIONS)
        bodies: dict[str, str] = dict(rows.all())
    problems = []
    for table, name in sorted(ddl.triggers()):
        if (table, name) not in is_enabled:
            remedy = "Create it again as the migrations do"
            problems.append((f"the trigger {name} of {table} is missing", remedy))
        elif not is_enabled[table, name]:
            remedy = f"ALTER TABLE {table} ENABLE TRIGGER {name}"
            problems.append((f"the trigger {name} of {table} is disabled", remedy))
    for name, body in sorted(ddl.functions().items()):
        remedy = "Replace it with the one in app/database/ddl"
        if name not in bodies:
            problems.append((f"the function {name} is missing", remedy))
        elif is_same_release and ddl.normalised(bodies[name]) != body:
            problems.append((f"the function {name} differs from this release's", remedy))
    for problem, remedy in problems:
        yield wrong(problem, f"{remedy}, then run {_CHECK_DATA}.")
    if not problems:
        counts = f"all {len(ddl.triggers())} triggers and {len(ddl.functions())} functions"
        yield well(f"{counts} exist, and the triggers are enabled")
