"""Check of the privileges that the service's role has in the database."""

from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import Sequence, text

from app.database import ddl
from app.database.engine import Database
from app.doctor.check_result import CheckResult, well, wrong
from app.doctor.schema import SCHEMA_OID
from app.models import metadata
from app.settings import Settings

_ADVICE: Final = (
    "Let the owner of the tables grant it, as `A role for the service` in docs/operating.md shows."
)
_READ_ONLY: Final = ("SELECT",)
_APPEND_ONLY: Final = ("SELECT", "INSERT")
_READ_WRITE: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
_SEQUENCE: Final = ("USAGE", "SELECT", "UPDATE")
"""For `nextval`, for reading the last value, and for `setval` after an import."""


def required_table_privileges() -> dict[str, tuple[str, ...]]:
    """Return the privileges that the service needs, by table; the audit record is append-only."""
    append_only = {table for table, trigger in ddl.triggers() if trigger == "only_add"}
    required = {
        name: _APPEND_ONLY if name in append_only else _READ_WRITE for name in metadata.tables
    }
    return required | {"alembic_version": _READ_ONLY}


def required_sequence_privileges() -> dict[str, tuple[str, ...]]:
    """Return the privileges that the service needs, by sequence; identity columns need none."""
    columns = (column for table in metadata.tables.values() for column in table.columns)
    return {
        column.default.name: _SEQUENCE for column in columns if isinstance(column.default, Sequence)
    }


_SCHEMA: Final = text(f"""
SELECT oid, nspname, has_schema_privilege(oid, 'USAGE') AS usable,
       has_database_privilege(current_database(), 'TEMPORARY') AS temporary, current_user AS role
FROM pg_namespace WHERE oid = {SCHEMA_OID}
""")  # noqa: S608 - made of constants
_MISSING: Final = text("""
SELECT c.relname, string_agg(required.privilege, ', ' ORDER BY required.place)
FROM unnest(CAST(:names AS text[]), CAST(:privileges AS text[])) WITH ORDINALITY
    AS required (name, privilege, place)
JOIN pg_class AS c ON c.relname = required.name AND c.relnamespace = :schema
WHERE NOT CASE c.relkind
    WHEN 'S' THEN has_sequence_privilege(c.oid, required.privilege)
    ELSE has_table_privilege(c.oid, required.privilege)
END
GROUP BY c.relname
ORDER BY c.relname
""")
# Trigger functions need no EXECUTE privilege.
_NOT_EXECUTABLE: Final = text("""
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


async def privileges(database: Database, _settings: Settings) -> AsyncIterator[CheckResult]:
    """Return the privileges that the service needs and the role lacks."""
    required = required_table_privileges() | required_sequence_privileges()
    pairs = [(name, privilege) for name, several in required.items() for privilege in several]
    async with database.reading() as connection:
        schema = (await connection.execute(_SCHEMA)).one()
        in_schema = {"schema": schema.oid}
        values = in_schema | {
            "names": [name for name, _ in pairs],
            "privileges": [privilege for _, privilege in pairs],
        }
        missing = (await connection.execute(_MISSING, values)).all()
        not_executable = (await connection.execute(_NOT_EXECUTABLE, in_schema)).scalars().all()
        tables = in_schema | {"names": list(metadata.tables)}
        hidden = (await connection.execute(_HIDDEN, tables)).scalars().all()
    lacks = [f"{several} on {name}" for name, several in missing]
    lacks += [f"EXECUTE on {function}" for function in not_executable]
    if not schema.temporary:
        lacks.append("TEMPORARY on the database, which imports need")
    if not schema.usable:
        lacks.insert(0, f"USAGE on the schema {schema.nspname}")
    if lacks:
        yield wrong(f"the role {schema.role} lacks {'; '.join(lacks)}", _ADVICE)
    for table in hidden:
        yield wrong(
            f"row security policies hide rows of {table} from the role {schema.role}",
            "Let the service see all rows: DISABLE ROW LEVEL SECURITY, or a policy for its role.",
        )
    if not lacks and not hidden:
        yield well(f"the role {schema.role} has all {len(pairs)} that it needs")
