"""The table of the outbox."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base, BlankText, JsonObject, PrimaryKey


class OutboxEntry(Base):
    """A job to run after the commit of the transaction that recorded it; kept until purged."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_open_due_at", "due_at", postgresql_where=text("done_at IS NULL")),
    )

    id: Mapped[PrimaryKey]
    job: Mapped[str]
    """The name of the job, as in the worker's registry."""
    arguments: Mapped[JsonObject]
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[BlankText]
    request_id: Mapped[BlankText]
    """The id of the request that recorded the job, for the log; empty if there was none."""
