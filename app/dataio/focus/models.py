"""The bills that were imported."""

from typing import Any

from sqlalchemy import BigInteger, LargeBinary
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base


class ImportedBill(Base):
    """The files of a bill that an import has stored as a whole, and its invoices as it left them.

    Of bills that share an invoice, only the newest has a row.
    """

    __tablename__ = "imported_bills"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """From `digest_bill`: of the files and of all else on which the stored items depend."""
    file_bytes: Mapped[int] = mapped_column(BigInteger)
    """The size of the files together. Files of another size need no digest."""
    charges: Mapped[dict[str, Any]] = mapped_column(JSONB)
    """The numbers of rows and the taxes, which the report shows."""
    invoice_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    """In the order of the report."""
    revisions: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    """Those of the invoices."""
