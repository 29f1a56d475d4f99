"""completed documents

The version of a document that last filled in empty values, under which it is represented.
"""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: str = "0040"
down_revision: str | None = "0039"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

AFTER: Final = (
    """
CREATE OR REPLACE FUNCTION add_document_version(invoice bigint, present integer, head jsonb) RETURNS integer
LANGUAGE sql AS $$
    INSERT INTO invoice_documents (
        invoice_id, version, lines_version, completed_version, content, digest
    )
    SELECT invoice_id, version + 1, lines_version, CASE
        WHEN head - payment.keys = content - payment.keys THEN completed_version
        ELSE version + 1
    END, head, sha256(
        convert_to(head::text, 'UTF8') || (
            SELECT coalesce(string_agg(lines.digest, '' ORDER BY lines.first_item_id), '')
            FROM document_lines AS lines
            WHERE lines.invoice_id = document.invoice_id
                AND lines.version = document.lines_version
        )
    )
    FROM invoice_documents AS document,
        (SELECT ARRAY['payment_url', 'reference_number'] AS keys) AS payment
    WHERE invoice_id = invoice AND version = present
    RETURNING version
$$
""",
)

BEFORE: Final = (
    """
CREATE OR REPLACE FUNCTION add_document_version(invoice bigint, present integer, head jsonb) RETURNS integer
LANGUAGE sql AS $$
    INSERT INTO invoice_documents (invoice_id, version, lines_version, content, digest)
    SELECT invoice_id, version + 1, lines_version, head, sha256(
        convert_to(head::text, 'UTF8') || (
            SELECT coalesce(string_agg(lines.digest, '' ORDER BY lines.first_item_id), '')
            FROM document_lines AS lines
            WHERE lines.invoice_id = document.invoice_id
                AND lines.version = document.lines_version
        )
    )
    FROM invoice_documents AS document
    WHERE invoice_id = invoice AND version = present
    RETURNING version
$$
""",
)


def upgrade() -> None:
    op.add_column("invoice_documents", sa.Column("completed_version", sa.Integer(), nullable=True))
    for statement in AFTER:
        op.execute(statement)


def downgrade() -> None:
    for statement in BEFORE:
        op.execute(statement)
    op.drop_column("invoice_documents", "completed_version")
