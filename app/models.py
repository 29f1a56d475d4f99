"""Imports every table of the service, so that the metadata is complete."""

import app.audit.models
import app.catalogue.models
import app.credit_notes.models
import app.credits.models
import app.customers.models
import app.database.base
import app.database.replicas.state
import app.database.row_counts
import app.dataio.focus.models
import app.deliveries.models
import app.idempotency.models
import app.identity.models
import app.invoices.models
import app.outbox.models
import app.payments.models
import app.reports.models

metadata = app.database.base.Base.metadata
