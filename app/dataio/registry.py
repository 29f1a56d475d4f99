"""Which table each kind of record belongs to, in an order in which none comes before what it names.

The fields of a model are columns of its table by name; a field `customer` beside a column
`customer_id` is a reference by UUID. The few fields that are neither are handled by name where
they are stored and exported.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Column, Table
from sqlalchemy.dialects.postgresql import JSONB

from app.catalogue import models as catalogue
from app.customers import models as customers
from app.database.base import Base
from app.dataio import records
from app.dataio.jsonl.json_values import dump_object
from app.deliveries import models as notifications
from app.identity import models as identity
from app.invoices import models as invoices
from app.payments import models as payments

PROOF_COLUMNS: Final = (
    "proof_key",
    "proof_name",
    "proof_media_type",
    "proof_size",
    "proof_sha256",
)


@dataclass(frozen=True)
class Reference:
    """A field that names another record by its UUID."""

    field: str
    column: Column[Any]
    target: Table


@dataclass(frozen=True)
class Kind:
    """A kind of record and its table."""

    model: type[records.Record]
    entity: type[Base]
    create_only: bool = False
    """Whether a row that is already there stays as it is."""

    @cached_property
    def name(self) -> str:
        """What stands in a record's `kind`."""
        return str(self.model.model_fields["kind"].default)

    @cached_property
    def table(self) -> Table:
        """The table that the records are rows of."""
        table = self.entity.__table__
        if not isinstance(table, Table):
            raise TypeError(f"{self.entity.__name__} is not a table")
        return table

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The fields that are foreign keys in the table."""
        return tuple(self._references())

    def _references(self) -> Iterator[Reference]:
        for field in self.model.model_fields:
            column = self.table.c.get(f"{field}_id")
            if column is not None:
                (key,) = column.foreign_keys
                yield Reference(field, column, key.column.table)

    @cached_property
    def columns(self) -> tuple[Column[Any], ...]:
        """The columns whose values a record gives as they are; `uuid` is the first of them."""
        given = [field for field in self.model.model_fields if field in self.table.c]
        proof = PROOF_COLUMNS if self.model is records.Payment else ()
        return tuple(self.table.c[name] for name in (*sorted(given, key="uuid".__ne__), *proof))

    @cached_property
    def _plain(self) -> tuple[Column[Any], ...]:
        return tuple(column for column in self.columns if column.name not in PROOF_COLUMNS)

    @cached_property
    def _get_plain(self) -> "attrgetter[Any]":
        return attrgetter(*(column.name for column in self._plain))

    @cached_property
    def _objects(self) -> tuple[int, ...]:
        return tuple(i for i, column in enumerate(self._plain) if isinstance(column.type, JSONB))

    def values(self, record: records.Record, proof: Sequence[object] = ()) -> list[object]:
        """Return the values of `columns`, with those of a proof at their end, and `references`."""
        values = list(self._get_plain(record))
        for position in self._objects:
            values[position] = dump_object(values[position])
        values += proof
        values += [None] * (len(self.columns) - len(values))
        values += [getattr(record, reference.field) for reference in self.references]
        return values


KINDS: Final = (
    Kind(records.User, identity.User),
    Kind(records.Token, identity.Token),
    Kind(records.Customer, customers.Customer),
    Kind(records.CustomerRole, identity.CustomerRole),
    Kind(records.AccessSubnet, identity.AccessSubnet),
    Kind(records.Project, customers.Project),
    Kind(records.ServiceProvider, catalogue.ServiceProvider),
    Kind(records.Category, catalogue.Category),
    Kind(records.Offering, catalogue.Offering),
    Kind(records.OfferingComponent, catalogue.OfferingComponent),
    Kind(records.Plan, catalogue.Plan),
    Kind(records.PlanComponent, catalogue.PlanComponent),
    Kind(records.Resource, catalogue.Resource),
    Kind(records.CustomerCredit, payments.CustomerCredit),
    Kind(records.PaymentProfile, payments.PaymentProfile),
    Kind(records.Invoice, invoices.Invoice),
    Kind(records.InvoiceItem, invoices.InvoiceItem),
    Kind(records.Payment, payments.Payment),
    Kind(records.Delivery, notifications.Delivery, create_only=True),
)
KIND_OF: Final = {kind.model: kind for kind in KINDS}
