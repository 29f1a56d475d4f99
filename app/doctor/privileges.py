"""What the service's role may do in the database, beside what the service does there."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Sequence as NumberSequence
from sqlalchemy import text

from app.database.engine import Database
from app.doctor.check_result import CheckResult, well, wrong
from app.doctor.schema import TRIGGERS
from app.models import metadata
from app.settings import Settings

_ADVICE: Final = (
    "Let the owner of the tables give it, as `A role for the service` in docs/operating.md shows."
)
_READ: Final = ("SELECT",)
_ADD: Final = ("SELECT", "INSERT")
_CHANGE: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_NUMBER: Final = ("USAGE", "SELECT", "UPDATE")
"""`nextval`, what it was at last, and `setval` after an import."""


def needed_of_tables() -> dict[str, tuple[str, ...]]:
    """Return the privileges that the service needs, by table; those of the history only grow."""
    only_grow = {table for table, trigger in TRIGGERS if trigger == "only_add"}
    needed = {name: _ADD if name in only_grow else _CHANGE for name in metadata.tables}
    return needed | {"alembic_version": _READ}


def needed_of_sequences() -> dict[str, tuple[str, ...]]:
    """Return the privileges that the service needs, by sequence; those of identities need none."""
    columns = (column for table in metadata.tables.values() for column in table.columns)
    return {
        column.default.name: _NUMBER
        for column in columns
        if isinstance(column.default, NumberSequence)
    }


_WHERE: Final = text("""
SELECT n.oid, n.nspname, has_schema_privilege(n.oid, 'USAGE') AS usable,
       has_database_privilege(current_database(), 'TEMPORARY') AS temporary, current_user AS role
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = 'alembic_version' AND c.relkind = 'r'
ORDER BY n.nspname = ANY (string_to_array(current_setting('search_path'), ', ')) DESC
LIMIT 1
""")
_LACKING: Final = text("""
SELECT c.relname, string_agg(needed.privilege, ', ' ORDER BY needed.place)
FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) WITH ORDINALITY
    AS needed (name, privilege, place)
JOIN pg_class AS c ON c.relname = needed.name AND c.relnamespace = :schema
WHERE NOT CASE c.relkind
    WHEN 'S' THEN has_sequence_privilege(c.oid, needed.privilege)
    ELSE has_table_privilege(c.oid, needed.privilege)
END
GROUP BY c.relname
ORDER BY c.relname
""")
# Those of triggers are run without it.
_NOT_CALLED: Final = text("""
SELECT p.oid::regprocedure::text FROM pg_proc AS p
WHERE p.pronamespace = :schema AND p.prorettype <> 'trigger'::regtype
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
    AND NOT has_function_privilege(p.oid, 'EXECUTE')
ORDER BY 1
""")
_HIDDEN: Final = text("""
SELECT relname FROM pg_class
WHERE relnamespace = :schema AND relname = ANY (CAST(:names AS text[]))
    AND relrowsecurity AND row_security_active(oid)
ORDER BY relname
""")


async def privileges(database: Database, _settings: Settings) -> list[CheckResult]:
    """Tell which privileges the role lacks that the service needs."""
    needed = needed_of_tables() | needed_of_sequences()
    pairs = [(name, privilege) for name, several in needed.items() for privilege in several]
    async with database.reading() as connection:
        where = (await connection.execute(_WHERE)).one_or_none()
        if where is None:  # it is not migrated, which another check tells
            return [well("there is nothing yet that they could be for")]
        names, wanted = zip(*pairs, strict=True)
        values = {"names": list(names), "privileges": list(wanted), "schema": where.oid}
        lacking = (await connection.execute(_LACKING, values)).all()
        schema = {"schema": where.oid}
        not_called = (await connection.execute(_NOT_CALLED, schema)).scalars().all()
        tables = schema | {"names": list(metadata.tables)}
        hidden = (await connection.execute(_HIDDEN, tables)).scalars().all()
    lacks = [f"{several} on {name}" for name, several in lacking]
    lacks += [f"EXECUTE on {function}" for function in not_called]
    if not where.temporary:
        lacks.append("TEMPORARY on the database, with which imports work")
    if not where.usable:
        lacks.insert(0, f"USAGE on the schema {where.nspname}")
    findings = [_lacking(where.role, lacks)] if lacks else []
    findings += [
        wrong(
            f"policies of row security hide rows of {table} from the role {where.role}",
            "Let the service see all: DISABLE ROW LEVEL SECURITY, or a policy for its role.",
        )
        for table in hidden
    ]
    return findings or [well(f"the role {where.role} has all {len(pairs)} that are needed")]


def _lacking(role: str, lacks: Sequence[str]) -> CheckResult:
    return wrong(f"the role {role} lacks {'; '.join(lacks)}", _ADVICE)
