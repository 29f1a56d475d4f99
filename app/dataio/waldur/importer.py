"""Imports a Waldur: reads, maps and checks the rows, and adds the records to the loader, in order.

    report = await import_waldur_database(url, database, settings)

The import reads one snapshot of the Waldur and writes in one transaction. A repeated import adds
the rows that are new or changed since.
"""

from functools import partial
from uuid import UUID

from app.audit.actor import Actor
from app.database.engine import Database
from app.dataio.loader import Loader, import_transaction
from app.dataio.records.catalogue import (
    CategoryRecord,
    OfferingComponentRecord,
    OfferingRecord,
    PlanComponentRecord,
    PlanRecord,
    ResourceRecord,
    ServiceProviderRecord,
)
from app.dataio.records.customers import OrganizationGroupRecord, ProjectRecord
from app.dataio.records.identity import TokenRecord, UserRecord
from app.dataio.records.payments import PaymentProfileRecord
from app.dataio.waldur import local_state, mapping, selects
from app.dataio.waldur.credit_importer import CreditImporter
from app.dataio.waldur.import_report import WaldurImportReport, describe_mapping_error
from app.dataio.waldur.invoice_importer import InvoiceImporter
from app.dataio.waldur.mapping import parse_optional_uuid, parse_uuid
from app.dataio.waldur.proof_reader import read_proof
from app.dataio.waldur.row_importer import Progress, RowImporter, name_row
from app.dataio.waldur.source_database import WaldurDatabase, open_waldur_database
from app.payments.models import PaymentProfile
from app.settings import Settings


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
            importer = WaldurImporter(waldur, loader, settings, progress)
            await importer.import_all()
        return importer.complete_report()


class WaldurImporter:
    """Imports one kind of record after the other, each after the kinds that it names."""

    def __init__(
        self, waldur: WaldurDatabase, loader: Loader, settings: Settings, progress: Progress
    ) -> None:
        self._waldur = waldur
        self._loader = loader
        self._settings = settings
        self._report = WaldurImportReport()
        self._rows = RowImporter(waldur, loader, self._report, progress)
        self._subnets_of_offerings: list[str] = []

    async def import_all(self) -> None:
        """Import every kind of record."""
        await self._import_users_and_customers()
        await self._import_catalogue()
        profiles = selects.profiles(self._waldur)
        await self._rows.deactivate_others(PaymentProfile, "payment_profile", profiles)
        await self._rows.import_rows(PaymentProfileRecord, profiles, mapping.map_profile)
        credit = CreditImporter(self._rows)
        await credit.import_credits()
        await self._loader.flush()
        invoices = InvoiceImporter(self._waldur, self._loader, self._report, self._settings)
        await invoices.import_all(self._rows.progress)
        await self._import_payments(invoices)
        await credit.import_ledger()
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

    async def _import_users_and_customers(self) -> None:
        rows, waldur = self._rows, self._waldur
        await rows.import_rows(UserRecord, "core_user", mapping.map_user)
        await rows.import_rows(TokenRecord, selects.tokens(waldur), mapping.map_token)
        async for row in rows.rows("personal_access_token", "core_personalaccesstoken"):
            reason = "its scopes and networks would not limit it here"
            self._report.skipped.add("personal_access_token", reason, name_row(row))
        await rows.import_rows(OrganizationGroupRecord, "structure_organizationgroup")
        groups = await rows.lists(selects.customer_groups(waldur))
        details = await local_state.load_customer_details(self._loader.connection)
        async for row in rows.rows("customer", "structure_customer"):
            map_row = partial(mapping.map_customer, groups=groups[row["id"]], details=details)
            await rows.add("customer", row, map_row)
        await self._import_subnets()
        await rows.import_rows(ProjectRecord, "structure_project")
        await self._import_roles()

    async def _import_catalogue(self) -> None:
        rows = self._rows
        await rows.import_rows(ServiceProviderRecord, "marketplace_serviceprovider")
        await rows.import_rows(CategoryRecord, "marketplace_category")
        await rows.import_rows(OfferingRecord, "marketplace_offering")
        await rows.import_rows(OfferingComponentRecord, "marketplace_offeringcomponent")
        await rows.import_rows(PlanRecord, "marketplace_plan")
        await rows.import_rows(
            PlanComponentRecord, "marketplace_plancomponent", mapping.map_plan_component
        )
        await rows.import_rows(ResourceRecord, "marketplace_resource")

    async def _import_roles(self) -> None:
        async for row in self._rows.rows("customer_role", selects.roles(self._waldur)):
            if row["scope"] == selects.CUSTOMER_SCOPE:
                await self._rows.add("customer_role", row, mapping.map_customer_role)
            elif row["scope"] == selects.PROJECT_SCOPE:
                await self._rows.add("project_role", row, mapping.map_project_role)
            else:
                scope = row["scope"] or "a missing object"
                self._report.skipped.add("role", f"a role at {scope} gives no access here")

    async def _import_subnets(self) -> None:
        if self._waldur.has("structure_accesssubnet"):
            async for row in self._rows.rows("access_subnet", "structure_accesssubnet"):
                await self._rows.add("access_subnet", row, mapping.map_subnet)
                if row["applies_to_portal"] is False:
                    self._subnets_of_offerings.append(str(row["uuid"]))
            return
        async for row in self._waldur.rows(selects.listed_subnets(self._waldur)):
            for network in filter(None, map(str.strip, row["access_subnets"].split(","))):
                listed = {"customer": row["customer"], "network": network}
                await self._rows.add("access_subnet", listed, mapping.map_listed_subnet)

    async def _import_payments(self, invoices: InvoiceImporter) -> None:
        preserved = await local_state.find_payments_of_changed_invoices(self._loader.connection)
        async for row in self._rows.rows("payment", "invoices_payment"):
            try:
                invoice, payment = parse_optional_uuid(row["invoice"]), parse_uuid(row["uuid"])
            except ValueError as error:
                self._report.skipped.add("payment", describe_mapping_error(error), name_row(row))
                continue
            if invoice in invoices.preserved or payment in preserved:
                self._report.preserved.add("payment", "its invoice was changed here", name_row(row))
                continue
            if invoice in invoices.skipped:
                self._report.skipped.add("payment", "its invoice was not imported", name_row(row))
                continue
            proof = None
            if row["proof"]:
                try:
                    proof = await read_proof(
                        self._waldur, self._loader.proofs, payment, row["proof"]
                    )
                except ValueError as error:
                    self._report.skipped.add("proof_of_payment", str(error), row["proof"])
            await self._rows.add("payment", row, partial(mapping.map_payment, proof=proof))

    async def _handle_deleted_rows(self, invoices: set[UUID]) -> None:
        """Revoke the tokens that Waldur has deleted, and report its other deletions.

        Access subnets that Waldur has since limited to offerings are deleted, too: they would keep
        the users of their customers out.
        """
        connection, report, seen = self._loader.connection, self._report, self._rows.seen
        await self._loader.flush()
        revoked = await local_state.revoke_deleted_tokens(connection, seen["token"])
        report.removed["token"] = revoked
        report.removed["access_subnet"] = await local_state.delete_access_subnets(
            connection, self._subnets_of_offerings
        )
        deleted = {"invoice": await local_state.find_deleted_invoices(connection, invoices)}
        for kind, rows in local_state.CUSTOMER_ROWS.items():
            deleted[kind] = await local_state.find_rows_missing_in_waldur(
                connection, rows, seen["customer"], seen[kind]
            )
        for kind, names in deleted.items():
            for name in names:
                report.preserved.add(kind, "Waldur does not have it", name)
