"""Every table of the service, gathered so that the metadata is whole."""

from app.catalogue import tables as catalogue
from app.customers import tables as customers
from app.database.base import Base
from app.history import tables as history
from app.idempotency import tables as idempotency
from app.identity import tables as identity
from app.invoices import tables as invoices
from app.notifications import tables as notifications
from app.outbox import tables as outbox
from app.payments import tables as payments

__all__ = [
    "catalogue",
    "customers",
    "history",
    "idempotency",
    "identity",
    "invoices",
    "metadata",
    "notifications",
    "outbox",
    "payments",
]

metadata = Base.metadata
