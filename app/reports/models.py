"""The table of monthly reports, and the job of their mails."""

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.database.base import Base

SEND_REPORT: Final = "send_report"
"""The job that mails a report to one recipient: an entry of the outbox is one mail."""


class MonthlyReport(Base):
    """A month whose report was scheduled."""

    __tablename__ = "monthly_reports"
    __table_args__ = (
        CheckConstraint("month BETWEEN 1 AND 12", name="month_is_of_a_year"),
        CheckConstraint("year BETWEEN 1 AND 9999", name="year_is_of_the_calendar"),
    )

    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    month: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    created_at: Mapped[datetime]
