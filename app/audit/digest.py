"""What an entry says, as one text that is the same wherever it is made, and its digest.

PostgreSQL makes it, since it keeps each digit of what is stored, and what changed may be a hundred
thousand items. The statements are no functions of the database, whose owner could change them.
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
"""The digests of the changes of the entry `e`, in their order; JSON has no line ends."""

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

Without an impersonator it is the digest that it was before there were any.
"""
