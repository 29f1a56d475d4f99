"""The digest of an entry, over a canonical text of the entry and its changes.

PostgreSQL computes it, because it has every stored digit, and a change may cover a hundred thousand
items. It is SQL of the service and no function of the database, whose owner could change it.
"""

from typing import Final

CHANGES_DIGEST: Final = """(
    SELECT coalesce(
        string_agg(
            sha256(convert_to(
                concat_ws(E'\\n', c.kind, c.subject, coalesce(c.was::text, ''), c.became), 'UTF8'
            )),
            '' ORDER BY c.id
        ),
        ''
    )
    FROM invoice_changes AS c WHERE c.change = e.change AND c.invoice_uuid = e.invoice_uuid
)"""
"""The digests of the changes of the entry `e`, in order. The line feed separates: JSON has none."""

ENTRY_DIGEST: Final = f"""
sha256(
    convert_to(
        (jsonb_build_array(
            e.change, e.invoice_uuid, extract(epoch FROM e.recorded_at), e.operation, e.user_uuid,
            e.username, e.token, e.request_id, e.comment, e.data
        ) || CASE
            WHEN e.impersonator_uuid IS NULL AND e.impersonator_username = '' THEN '[]'::jsonb
            ELSE jsonb_build_array(e.impersonator_uuid, e.impersonator_username)
        END)::text,
        'UTF8'
    ) || {CHANGES_DIGEST}
)"""
"""The digest of the entry `e`, which has the columns of `invoice_history`.

Without an impersonator it equals the digest of releases before impersonation.
"""
