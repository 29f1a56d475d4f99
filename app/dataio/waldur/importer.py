"""Imports a Waldur: reads, maps and checks the rows, and adds the records to the loader, in order.

    report = await import_waldur_database(url, database, settings)

The import reads one snapshot of the Waldur and writes in one transaction. A repeated import adds
the rows that are new or changed since.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from app.audit.actor import Actor
from app.database.engine import Database
from app.dataio import records
from app.dataio.loader import Loader, import_transaction
from app.dataio.waldur import local_state, mapping, selects
from app.dataio.waldur.import_report import WaldurImportReport, describe_mapping_error
from app.dataio.waldur.invoice_importer import InvoiceImporter
from app.dataio.waldur.mapping import Row, parse_optional_uuid, parse_uuid
from app.dataio.waldur.source_database import WaldurDatabase, open_waldur_database
from app.settings import Settings

Progress = Callable[[str], None]
"""Called with the kind of each row that has been read."""
_MapRow = Callable[[Row], records.Record]


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
        self._subnets_of_offerings: list[str] = []

    async def import_all(self) -> None:
        """Import every kind of record."""
        waldur = self._waldur
        await self._import(records.UserRecord, "core_user", mapping.map_user)
        await self._import(records.TokenRecord, selects.tokens(waldur), mapping.map_token)
        await self._report_personal_access_tokens()
        await self._import(records.CustomerRecord, "structure_customer", mapping.map_customer)
        await self._import_subnets()
        await self._import(records.ProjectRecord, "structure_project")
        await self._import_roles()
        await self._import(records.ServiceProviderRecord, "marketplace_serviceprovider")
        await self._import(records.CategoryRecord, "marketplace_category")
        await self._import(records.OfferingRecord, "marketplace_offering")
        await self._import(records.OfferingComponentRecord, "marketplace_offeringcomponent")
        await self._import(records.PlanRecord, "marketplace_plan")
        await self._import(
            records.PlanComponentRecord, "marketplace_plancomponent", mapping.map_plan_component
        )
        await self._import(records.ResourceRecord, "marketplace_resource")
        await self._import(
            records.PaymentProfileRecord, selects.profiles(waldur), mapping.map_profile
        )
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
            self._report.skipped.add(rejected.kind or "record", rejected.reason, str(rejected.uuid))
        unlisted = loaded.rejected_count - len(loaded.rejected)
        if unlisted:
            self._report.skipped.add("record", "too many rejected records to list", count=unlisted)
        return self._report

    async def _import(
        self,
        model: type[records.Record],
        source: str | Select[Any],
        map_row: _MapRow | None = None,
    ) -> None:
        """Import the rows of a table or select; without `map_row` by the names of the fields."""
        kind = records.kind_of(model)
        async for row in self._rows(kind, source):
            await self._add(kind, row, map_row or partial(mapping.map_record, model))

    async def _rows(self, kind: str, source: str | Select[Any]) -> AsyncIterator[Row]:
        statement = self._waldur.select(source) if isinstance(source, str) else source
        async for row in self._waldur.rows(statement):
            self._progress(kind)
            yield row

    async def _add(self, kind: str, row: Row, map_row: _MapRow) -> None:
        try:
            record = map_row(mapping.require_readable(row))
        except ValueError as error:
            self._report.skipped.add(kind, describe_mapping_error(error), _row_name(row))
            return
        self._seen[kind].add(record.uuid)
        await self._loader.add(record)

    async def _import_roles(self) -> None:
        async for row in self._rows("customer_role", selects.roles(self._waldur)):
            if row["scope"] == selects.CUSTOMER_SCOPE:
                await self._add("customer_role", row, mapping.map_customer_role)
            elif row["scope"] == selects.PROJECT_SCOPE:
                await self._add("project_role", row, mapping.map_project_role)
            else:
                scope = row["scope"] or "a missing object"
                self._report.skipped.add("role", f"a role at {scope} gives no access here")

    async def _import_subnets(self) -> None:
        if self._waldur.has("structure_accesssubnet"):
            async for row in self._rows("access_subnet", "structure_accesssubnet"):
                await self._add("access_subnet", row, mapping.map_subnet)
                if row["applies_to_portal"] is False:
                    self._subnets_of_offerings.append(str(row["uuid"]))
            return
        async for row in self._waldur.rows(selects.listed_subnets(self._waldur)):
            for network in filter(None, map(str.strip, row["access_subnets"].split(","))):
                listed = {"customer": row["customer"], "network": network}
                await self._add("access_subnet", listed, mapping.map_listed_subnet)

    async def _report_personal_access_tokens(self) -> None:
        if self._waldur.has("core_personalaccesstoken"):
            async for row in self._rows("personal_access_token", "core_personalaccesstoken"):
                reason = "its scopes and networks would not limit it here"
                self._report.skipped.add("personal_access_token", reason, _row_name(row))

    async def _import_credits(self) -> None:
        if self._waldur.has("invoices_projectcredit"):
            project_credits = await self._waldur.all(self._waldur.select("invoices_projectcredit"))
            if project_credits:
                reason = "this service has no credits of projects"
                self._report.skipped.add("project_credit", reason, count=len(project_credits))
        if not self._waldur.has("invoices_customercredit"):
            return
        offerings: dict[int, list[UUID]] = defaultdict(list)
        if self._waldur.has("invoices_customercredit_offerings"):
            async for row in self._waldur.rows(selects.credit_offerings(self._waldur)):
                if row["offering"] is not None:
                    offerings[row["credit"]].append(parse_uuid(row["offering"]))
        await self._import(
            records.CustomerCreditRecord,
            "invoices_customercredit",
            lambda row: mapping.map_credit(row, offerings[row["id"]]),
        )

    async def _import_payments(self, invoices: InvoiceImporter) -> None:
        preserved = await local_state.find_payments_of_changed_invoices(self._loader.connection)
        async for row in self._rows("payment", "invoices_payment"):
            try:
                invoice, payment = parse_optional_uuid(row["invoice"]), parse_uuid(row["uuid"])
            except ValueError as error:
                self._report.skipped.add("payment", describe_mapping_error(error), _row_name(row))
                continue
            if invoice in invoices.preserved or payment in preserved:
                self._report.preserved.add(
                    "payment", "its invoice was changed here", _row_name(row)
                )
                continue
            if invoice in invoices.skipped:
                self._report.skipped.add("payment", "its invoice was not imported", _row_name(row))
                continue
            if row["proof"]:
                self._report.skipped.add(
                    "proof_of_payment", "the file is not in Waldur's database", row["proof"]
                )
            await self._add("payment", row, mapping.map_payment)

    async def _handle_deleted_rows(self, invoices: set[UUID]) -> None:
        """Revoke the tokens that Waldur has deleted, and report its other deletions.

        Access subnets that Waldur has since limited to offerings are deleted, too: they would keep
        the users of their customers out.
        """
        connection, report = self._loader.connection, self._report
        await self._loader.flush()
        revoked = await local_state.revoke_deleted_tokens(connection, self._seen["token"])
        report.removed["token"] = revoked
        report.removed["access_subnet"] = await local_state.delete_access_subnets(
            connection, self._subnets_of_offerings
        )
        deleted = {"invoice": await local_state.find_deleted_invoices(connection, invoices)}
        seen = set[UUID]().union(*self._seen.values())
        for kind, rows in local_state.CUSTOMER_ROWS.items():
            deleted[kind] = await local_state.find_rows_missing_in_waldur(
                connection, rows, self._seen["customer"], seen
            )
        for kind, names in deleted.items():
            for name in names:
                report.preserved.add(kind, "Waldur does not have it", name)


def _row_name(row: Row) -> str:
    """Return the identifier of a row; of a token its user, never its key."""
    return str(row.get("uuid") or row.get("user") or row.get("id") or row.get("customer"))
