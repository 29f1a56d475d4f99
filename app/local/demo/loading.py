"""Loading the demonstration: once, in one transaction."""

from dataclasses import dataclass, field

from sqlalchemy import exists, select

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import Currency
from app.customers.models import Customer
from app.database.engine import Database
from app.identity.models import User
from app.invoices.actions.set_currency import use_currency
from app.local.demo.catalogue import add_catalogue
from app.local.demo.invoicing import add_invoices
from app.local.demo.payments import PROVEN, add_payments, store_proof
from app.local.demo.people import add_people
from app.local.demo.rows import Rows, identifier
from app.local.demo.subscriptions import add_resources
from app.payments.models import Payment
from app.payments.proof_store.opening import open_store
from app.payments.proof_store.store import remove
from app.progress import UNWATCHED, Progress
from app.settings import ProofSettings

STAFF, SUPPORT, OWNER = "demo-staff", "demo-support", "demo-owner"
"""Users for whom `run` creates tokens."""


@dataclass(frozen=True)
class DemoSummary:
    """The number of rows loaded by table; nothing is loaded into a database in use."""

    loaded: bool
    rows: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.loaded:
            return "The database already has users or customers; no demonstration was loaded."
        counted = ", ".join(
            f"{count:,} {table.replace('_', ' ').removesuffix('s' if count == 1 else '')}"
            for table, count in self.rows.items()
        )
        return f"Loaded a demonstration: {counted}."


def demonstration(currency: Currency) -> Rows:
    """Return the rows of the demonstration, as of today."""
    rows = Rows()
    now = clock.now()
    add_people(rows, now)
    add_catalogue(rows, now)
    add_resources(rows, now)
    add_invoices(rows, now, currency)
    add_payments(rows, now)
    return rows


async def load(
    database: Database, settings: ProofSettings, progress: Progress = UNWATCHED
) -> DemoSummary:
    """Load the demonstration into a database without users and customers; else do nothing.

    Raises WrongCurrency if it has invoices in another currency, and `StorageUnavailable` if
    the proof of payment cannot be stored.
    """
    store = open_store(settings)
    proof = ""
    try:
        async with audited_transaction(database, settings.audit_key, Actor("demo")) as connection:
            in_use = select(exists(select(User.id)) | exists(select(Customer.id)))
            if (await connection.execute(in_use)).scalar_one():
                return DemoSummary(loaded=False)
            currency = settings.currency
            await use_currency(connection, currency)
            rows = demonstration(currency)
            payment = identifier(Payment, "/".join(map(str, PROVEN)))
            proof = await store_proof(rows, store, payment)
            return DemoSummary(loaded=True, rows=await rows.insert(connection, progress))
    except BaseException:
        if proof:
            await remove(store, proof)
        raise
