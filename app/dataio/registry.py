"""The kinds of records and their tables, in an order in which each follows those that it names.

A field of a model is the column of the same name. A field `customer` beside a column `customer_id`
is a reference by UUID. The modules that store and export records handle the few other fields by
name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import attrgetter, or_
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter
from sqlalchemy import Column, ColumnElement, LargeBinary, Table, func, select
from sqlalchemy.dialects.postgresql import JSONB

from app.catalogue import models as catalogue
from app.credit_notes import models as credit_notes
from app.credits import models as credits
from app.customers import models as customers
from app.database.base import Base
from app.dataio.json_objects import dump_object
from app.dataio.records.audit import AuditRecord
from app.dataio.records.catalogue import (
    CategoryRecord,
    OfferingComponentRecord,
    OfferingRecord,
    PlanComponentRecord,
    PlanRecord,
    ResourceRecord,
    ServiceProviderRecord,
)
from app.dataio.records.credit_notes import CreditNoteLinesRecord, CreditNoteRecord
from app.dataio.records.credits import (
    AffiliateFeeAccrualRecord,
    CreditTransactionRecord,
    CustomerAffiliateRecord,
    CustomerCreditRecord,
    ProjectCreditRecord,
)
from app.dataio.records.customers import CustomerRecord, OrganizationGroupRecord, ProjectRecord
from app.dataio.records.deliveries import DeliveryRecord
from app.dataio.records.documents import DocumentRecord
from app.dataio.records.identity import (
    AccessSubnetRecord,
    CustomerRoleRecord,
    ProjectRoleRecord,
    TokenRecord,
    UserRecord,
)
from app.dataio.records.invoices import InvoiceItemRecord, InvoiceRecord
from app.dataio.records.payments import PaymentProfileRecord, PaymentRecord
from app.dataio.records.record import Record, kind_of
from app.deliveries import models as deliveries
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
class Link:
    """A field that lists other records by their UUIDs, each with a row of a link table."""

    field: str
    own: Column[Any]
    """The column of the link table that names the record."""
    listed: Column[Any]
    """The column of the link table that names the listed record."""

    @property
    def target(self) -> Table:
        """The table of the listed records."""
        (key,) = self.listed.foreign_keys
        return key.column.table

    def stored(self, record_id: Column[Any]) -> ColumnElement[Any]:
        """Return the sorted UUIDs that a stored row lists."""
        target = self.target
        uuids = select(target.c.uuid).join(self.own.table, self.listed == target.c.id)
        uuids = uuids.where(self.own == record_id).order_by(target.c.uuid)
        return func.array(uuids.correlate(record_id.table).scalar_subquery())


@dataclass(frozen=True)
class RecordKind:
    """A kind of record and its table."""

    model: type[Record]
    entity: type[Base]
    create_only: bool = False
    """Whether an import leaves an existing row unchanged."""
    links: tuple[Link, ...] = ()

    @cached_property
    def name(self) -> str:
        """The value of a record's field `kind`."""
        return kind_of(self.model)

    @cached_property
    def table(self) -> Table:
        """The table that stores the records."""
        table = self.entity.__table__
        if not isinstance(table, Table):
            raise TypeError(f"{self.entity.__name__} is not a table")
        return table

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The fields that are foreign keys in the table."""
        columns = ((field, self.table.c.get(f"{field}_id")) for field in self.model.model_fields)
        return tuple(
            Reference(field, column, next(iter(column.foreign_keys)).column.table)
            for field, column in columns
            if column is not None
        )

    @cached_property
    def columns(self) -> tuple[Column[Any], ...]:
        """The columns that store a field's value as it is; `uuid` is the first."""
        names = [field for field in self.model.model_fields if field in self.table.c]
        proof = PROOF_COLUMNS if self.model is PaymentRecord else ()
        return tuple(self.table.c[name] for name in (*sorted(names, key="uuid".__ne__), *proof))

    @cached_property
    def value_names(self) -> tuple[str, ...]:
        """The names of `values`."""
        columns = (column.name for column in self.columns)
        references = (each.field for each in self.references)
        return (*columns, *references, *(each.field for each in self.links))

    @cached_property
    def _field_columns(self) -> tuple[Column[Any], ...]:
        return tuple(column for column in self.columns if column.name not in PROOF_COLUMNS)

    @cached_property
    def _get_fields(self) -> "attrgetter[Any]":
        return attrgetter(*(column.name for column in self._field_columns))

    @cached_property
    def _json_positions(self) -> tuple[int, ...]:
        columns = enumerate(self._field_columns)
        return tuple(position for position, column in columns if isinstance(column.type, JSONB))

    @cached_property
    def _binary_positions(self) -> tuple[int, ...]:
        columns = enumerate(self._field_columns)
        return tuple(
            position for position, column in columns if isinstance(column.type, LargeBinary)
        )

    def values(self, record: Record, proof: Sequence[object] = ()) -> list[object]:
        """Return the values of `columns` (the proof's at their end), `references` and `links`."""
        values: list[Any] = list(self._get_fields(record))
        for position in self._json_positions:
            values[position] = dump_object(values[position])
        for position in self._binary_positions:
            values[position] = bytes.fromhex(values[position])
        values += proof
        values += [None] * (len(self.columns) - len(values))
        values += [getattr(record, each.field) for each in self.references]
        values += [getattr(record, each.field) for each in self.links]
        return values


_credits: Any = credits.CustomerCreditOffering.__table__.c
_groups: Any = customers.CustomerOrganizationGroup.__table__.c
RECORD_KINDS: Final = (
    RecordKind(UserRecord, identity.User),
    RecordKind(TokenRecord, identity.Token),
    RecordKind(OrganizationGroupRecord, customers.OrganizationGroup),
    RecordKind(
        CustomerRecord,
        customers.Customer,
        links=(Link("organization_groups", _groups.customer_id, _groups.organization_group_id),),
    ),
    RecordKind(CustomerRoleRecord, identity.CustomerRole),
    RecordKind(AccessSubnetRecord, identity.AccessSubnet),
    RecordKind(ProjectRecord, customers.Project),
    RecordKind(ProjectRoleRecord, identity.ProjectRole),
    RecordKind(ServiceProviderRecord, catalogue.ServiceProvider),
    RecordKind(CategoryRecord, catalogue.Category),
    RecordKind(OfferingRecord, catalogue.Offering),
    RecordKind(OfferingComponentRecord, catalogue.OfferingComponent),
    RecordKind(PlanRecord, catalogue.Plan),
    RecordKind(PlanComponentRecord, catalogue.PlanComponent),
    RecordKind(ResourceRecord, catalogue.Resource),
    RecordKind(
        CustomerCreditRecord,
        credits.CustomerCredit,
        links=(Link("offerings", _credits.customer_credit_id, _credits.offering_id),),
    ),
    RecordKind(ProjectCreditRecord, credits.ProjectCredit),
    RecordKind(CustomerAffiliateRecord, credits.CustomerAffiliate),
    RecordKind(PaymentProfileRecord, payments.PaymentProfile),
    RecordKind(InvoiceRecord, invoices.Invoice),
    RecordKind(InvoiceItemRecord, invoices.InvoiceItem),
    RecordKind(CreditNoteRecord, credit_notes.CreditNote, create_only=True),
    RecordKind(CreditNoteLinesRecord, credit_notes.CreditNoteLines, create_only=True),
    RecordKind(CreditTransactionRecord, credits.CreditTransaction, create_only=True),
    RecordKind(AffiliateFeeAccrualRecord, credits.AffiliateFeeAccrual),
    RecordKind(PaymentRecord, payments.Payment),
    RecordKind(DeliveryRecord, deliveries.Delivery, create_only=True),
)
RECORD_KIND_BY_MODEL: Final = {kind.model: kind for kind in RECORD_KINDS}
_any_record: Any = reduce(or_, RECORD_KIND_BY_MODEL, AuditRecord | DocumentRecord)
record_adapter: TypeAdapter[Record] = TypeAdapter(
    Annotated[_any_record, Field(discriminator="kind")]
)
"""Reads a record of any kind, which the field `kind` names."""
