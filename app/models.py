"""Every table of the service, gathered so that the metadata is whole."""

from app.audit import models as history
from app.catalogue import models as catalogue
from app.customers import models as customers
from app.database.base import Base
from app.deliveries import models as notifications
from app.idempotency import models as idempotency
from app.identity import models as identity
from app.invoices import models as invoices
from app.outbox import models as outbox
from app.payments import models as payments

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
