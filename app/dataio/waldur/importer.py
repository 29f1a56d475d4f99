"""Imports a Waldur: reads, maps and checks the rows, and adds the records to the loader, in order.

    report = await import_waldur_database(url, database, settings)

The import reads one snapshot of the Waldur and writes in one transaction. A repeated import adds
the rows that are new or changed since.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from app.audit.actor import Actor
from app.database.engine import Database
from app.dataio.loader import Loader, import_transaction
from app.dataio.records import Record
from app.dataio.waldur import billing_selects, catalogue_selects, local_state, mapping
from app.dataio.waldur.import_report import WaldurImportReport, describe_mapping_error
from app.dataio.waldur.invoice_importer import InvoiceImporter
from app.dataio.waldur.mapping import Row, parse_optional_uuid, parse_uuid
from app.dataio.waldur.source_database import WaldurDatabase, open_waldur_database
from app.settings import Settings

Progress = Callable[[str], None]
"""Called with the kind of each row that has been read."""
_SelectRows = Callable[[WaldurDatabase], Select[Any]]


async def import_waldur_database(
    url: str, database: Database, settings: Settings, progress: Progress = lambda _: None
) -> WaldurImportReport:
    """Import the Waldur database at `url`, or its changes since the last import.

    Raises `WaldurUnreadable` if it cannot be read, `ImportRunning` if another import runs, and
    `IncompleteInvoice` if the database rejects a part of an invoice.
    """
    async with open_waldur_database(url) as waldur:
        async with import_transaction(
            database, settings, Actor("import_waldur"), keep_good=True
        ) as loader:
            importer = WaldurImporter(waldur, loader, settings.payment_interval_days, progress)
            await importer.import_all()
        return importer.complete_report()


class WaldurImporter:
    """Imports one kind of record after the other, each after the kinds that it names."""

    def __init__(
        self, waldur: WaldurDatabase, loader: Loader, payment_interval_days: int, progress: Progress
    ) -> None:
        self._waldur = waldur
        self._loader = loader
        self._interval = payment_interval_days
        self._progress = progress
        self._report = WaldurImportReport()
        self._seen: dict[str, set[UUID]] = defaultdict(set)

    async def import_all(self) -> None:
        """Import every kind of record."""
        await self._import("user", catalogue_selects.users, mapping.map_user)
        await self._import("token", catalogue_selects.tokens, mapping.map_token)
        await self._import("customer", catalogue_selects.customers, mapping.map_customer)
        await self._import_roles()
        await self._import_subnets()
        await self._import("project", catalogue_selects.projects, mapping.map_project)
        await self._import("service_provider", catalogue_selects.providers, mapping.map_provider)
        await self._import("category", catalogue_selects.categories, mapping.map_category)
        await self._import("offering", catalogue_selects.offerings, mapping.map_offering)
        await self._import(
            "offering_component", catalogue_selects.components, mapping.map_component
        )
        await self._import("plan", catalogue_selects.plans, mapping.map_plan)
        await self._import(
            "plan_component", catalogue_selects.plan_components, mapping.map_plan_component
        )
        await self._import("resource", catalogue_selects.resources, mapping.map_resource)
        await self._import("payment_profile", billing_selects.profiles, mapping.map_profile)
        await self._import_credits()
        await self._loader.flush()
        invoices = InvoiceImporter(self._waldur, self._loader, self._report, self._interval)
        await invoices.import_all(self._progress)
        await self._import_payments(invoices)
        await self._handle_deleted_rows(invoices.seen)

    def complete_report(self) -> WaldurImportReport:
        """Return the report with the loader's counts. The loader must have finished."""
        loaded = self._loader.report
        for kind, counts in loaded.counts.items():
            self._report.new[kind] = counts.created
            self._report.updated[kind] = counts.updated
            self._report.unchanged[kind] = counts.unchanged
        for rejected in loaded.rejected:
            self._report.skip(rejected.kind or "record", rejected.reason, str(rejected.uuid))
        unlisted = loaded.rejected_count - len(loaded.rejected)
        if unlisted:
            self._report.skip("record", "too many rejected records to list", count=unlisted)
        return self._report

    async def _import(
        self, kind: str, select_rows: _SelectRows, map_row: Callable[[Row], Record]
    ) -> None:
        async for row in self._rows(kind, select_rows):
            await self._add(kind, row, map_row)

    async def _rows(self, kind: str, select_rows: _SelectRows) -> AsyncIterator[Row]:
        async for row in self._waldur.rows(select_rows(self._waldur)):
            self._progress(kind)
            yield row

    async def _add(self, kind: str, row: Row, map_row: Callable[[Row], Record]) -> None:
        try:
            record = map_row(mapping.require_readable(row))
        except ValueError as error:
            self._report.skip(kind, describe_mapping_error(error), _row_name(row))
            return
        self._seen[kind].add(record.uuid)
        await self._loader.add(record)

    async def _import_roles(self) -> None:
        async for row in self._rows("customer_role", catalogue_selects.roles):
            if row["scope"] == "structure.customer":
                await self._add("customer_role", row, mapping.map_role)
            else:
                scope = row["scope"] or "a missing object"
                self._report.skip("role", f"a role at {scope} gives no access to invoices")

    async def _import_subnets(self) -> None:
        if self._waldur.has("structure_accesssubnet"):
            await self._import("access_subnet", catalogue_selects.subnets, mapping.map_subnet)
            return
        async for row in self._waldur.rows(catalogue_selects.listed_subnets(self._waldur)):
            for network in filter(None, map(str.strip, row["access_subnets"].split(","))):
                await self._add(
                    "access_subnet",
                    {"uuid": row["customer"], "network": network},
                    lambda row: mapping.map_listed_subnet(parse_uuid(row["uuid"]), row["network"]),
                )

    async def _import_credits(self) -> None:
        if self._waldur.has("invoices_projectcredit"):
            (counted,) = await self._waldur.all(billing_selects.project_credits(self._waldur))
            if counted["count"]:
                self._report.skip(
                    "project_credit",
                    "this service has no credits of projects",
                    count=counted["count"],
                )
        if not self._waldur.has("invoices_customercredit"):
            return
        offerings: dict[int, list[UUID]] = defaultdict(list)
        if self._waldur.has("invoices_customercredit_offerings"):
            async for row in self._waldur.rows(billing_selects.credit_offerings(self._waldur)):
                if row["offering"] is not None:
                    offerings[row["credit"]].append(parse_uuid(row["offering"]))
        await self._import(
            "customer_credit",
            billing_selects.customer_credits,
            lambda row: mapping.map_credit(row, offerings[row["id"]]),
        )

    async def _import_payments(self, invoices: InvoiceImporter) -> None:
        preserved = await local_state.find_payments_of_changed_invoices(self._loader.connection)
        async for row in self._rows("payment", billing_selects.payments):
            try:
                invoice, payment = parse_optional_uuid(row["invoice"]), parse_uuid(row["uuid"])
            except ValueError as error:
                self._report.skip("payment", describe_mapping_error(error), _row_name(row))
                continue
            if invoice in invoices.preserved or payment in preserved:
                self._report.preserve("payment", "its invoice was changed here", _row_name(row))
                continue
            if invoice in invoices.skipped:
                self._report.skip("payment", "its invoice was not imported", _row_name(row))
                continue
            if row["proof"]:
                self._report.skip(
                    "proof_of_payment", "the file is not in Waldur's database", row["proof"]
                )
            await self._add("payment", row, mapping.map_payment)

    async def _handle_deleted_rows(self, invoices: set[UUID]) -> None:
        """Revoke the tokens that Waldur has deleted, and report its other deletions."""
        connection, report = self._loader.connection, self._report
        await self._loader.flush()
        revoked = await local_state.revoke_deleted_tokens(connection, self._seen["token"])
        report.removed["token"] = revoked
        customers, roles = self._seen["customer"], self._seen["customer_role"]
        subnets = self._seen["access_subnet"]
        for kind, deleted in (
            ("invoice", await local_state.find_deleted_invoices(connection, invoices)),
            (
                "customer_role",
                await local_state.find_roles_missing_in_waldur(connection, customers, roles),
            ),
            (
                "access_subnet",
                await local_state.find_subnets_missing_in_waldur(connection, customers, subnets),
            ),
        ):
            for row in deleted:
                report.preserve(kind, "Waldur does not have it", row)


def _row_name(row: Row) -> str:
    """Return the identifier of a row; of a token its user, never its key."""
    return str(row.get("uuid") or row.get("user") or row.get("id"))
