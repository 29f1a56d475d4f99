"""Imports every table of the service, so that the metadata is complete."""

from app.audit import models as audit
from app.catalogue import models as catalogue
from app.credits import models as credits
from app.customers import models as customers
from app.database.base import Base
from app.deliveries import models as deliveries
from app.idempotency import models as idempotency
from app.identity import models as identity
from app.invoices import models as invoices
from app.outbox import models as outbox
from app.payments import models as payments

__all__ = [
    "audit",
    "catalogue",
    "credits",
    "customers",
    "deliveries",
    "idempotency",
    "identity",
    "invoices",
    "metadata",
    "outbox",
    "payments",
]

metadata = Base.metadata
