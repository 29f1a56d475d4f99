"""What must happen after a commit, written in the same transaction as the change."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, BlankText, JsonObject, PrimaryKey


class OutboxEntry(Base):
    """A job to run, until it is done."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_open_due_at", "due_at", postgresql_where=text("done_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    job: Mapped[str]
    """The name of the worker's job."""
    arguments: Mapped[JsonObject]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[BlankText]
    request_id: Mapped[BlankText]
    """Of the request that caused it, for the log; empty where none did."""
