"""The digest of an entry, over a canonical text of the entry and its changes.

PostgreSQL computes it, because it has every stored digit, and a change may cover a hundred thousand
items. It is SQL of the service and no function of the database, whose owner could change it.
"""

from app.audit.record_tables import RecordTables


def entry_digest(tables: RecordTables) -> str:
    """Return the SQL of the digest of the entry `e`, which has the columns of `tables.entries`.

    Without an impersonator it equals the digest of releases before impersonation.
    """
    return f"""
sha256(
    convert_to(
        (jsonb_build_array(
            e.change, {tables.identity("e")}, extract(epoch FROM e.recorded_at), e.operation,
            e.user_uuid, e.username, e.token, e.request_id, e.comment, e.data
        ) || CASE
            WHEN e.impersonator_uuid IS NULL AND e.impersonator_username = '' THEN '[]'::jsonb
            ELSE jsonb_build_array(e.impersonator_uuid, e.impersonator_username)
        END)::text,
        'UTF8'
    ) || {_changes_digest(tables)}
)"""


def _changes_digest(tables: RecordTables) -> str:
    """Return the SQL of the digests of the changes of the entry `e`, in order.

    The line feed separates: JSON has none.
    """
    return f"""(
    SELECT coalesce(
        string_agg(
            sha256(convert_to(
                concat_ws(E'\\n', c.kind, c.{tables.row}, coalesce(c.was::text, ''), c.became),
                'UTF8'
            )),
            '' ORDER BY c.id
        ),
        ''
    )
    FROM {tables.changes} AS c WHERE {tables.same_entry("c", "e")}
)"""  # noqa: S608 - made of constants
