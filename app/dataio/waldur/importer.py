"""The import from a Waldur: what is read, mapped, guarded and handed to the loader, in order.

    report = await run(url, database, settings)

Everything is one transaction on each side: a snapshot of the Waldur, which is only read, and one
here, which commits at the end or leaves nothing. It can be run again to catch up.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from app.audit.actor import Actor
from app.database.engine import Database
from app.dataio.loader import Loader, importing
from app.dataio.records import Record
from app.dataio.waldur import billing_queries, catalogue_queries, local_state, mapping
from app.dataio.waldur.import_report import Report, why
from app.dataio.waldur.invoices import Invoices
from app.dataio.waldur.mapping import Row, optional_id, public_id
from app.dataio.waldur.source import Source, open_source
from app.settings import Settings

Progress = Callable[[str], None]
"""Called with the kind of each row that has been read."""


async def run(
    url: str, database: Database, settings: Settings, progress: Progress = lambda _: None
) -> Report:
    """Bring over, or catch up with, the Waldur whose database is at `url`.

    Raises `WaldurUnreadable` where it cannot be read, and `ImportRunning` if another import runs.
    """
    async with open_source(url) as source:
        async with importing(database, settings, Actor("import_waldur"), keep_good=True) as loader:
            importer = Importer(source, loader, settings.payment_interval_days, progress)
            await importer.bring_all()
        return importer.summarize()


class Importer:
    """Brings one kind of record after the other, each after what it refers to."""

    def __init__(
        self, source: Source, loader: Loader, payment_interval_days: int, progress: Progress
    ) -> None:
        self._source = source
        self._loader = loader
        self._interval = payment_interval_days
        self._progress = progress
        self._report = Report()
        self._seen: dict[str, set[UUID]] = defaultdict(set)

    async def bring_all(self) -> None:
        """Bring everything."""
        await self._bring("user", catalogue_queries.users, mapping.user)
        await self._bring("token", catalogue_queries.tokens, mapping.token)
        await self._bring("customer", catalogue_queries.customers, mapping.customer)
        await self._bring_roles()
        await self._bring_subnets()
        await self._bring("project", catalogue_queries.projects, mapping.project)
        await self._bring("service_provider", catalogue_queries.providers, mapping.provider)
        await self._bring("category", catalogue_queries.categories, mapping.category)
        await self._bring("offering", catalogue_queries.offerings, mapping.offering)
        await self._bring("offering_component", catalogue_queries.components, mapping.component)
        await self._bring("plan", catalogue_queries.plans, mapping.plan)
        await self._bring(
            "plan_component", catalogue_queries.plan_components, mapping.plan_component
        )
        await self._bring("resource", catalogue_queries.resources, mapping.resource)
        await self._bring("payment_profile", billing_queries.profiles, mapping.profile)
        await self._bring_credits()
        await self._loader.flush()
        invoices = Invoices(self._source, self._loader, self._report, self._interval)
        await invoices.bring_all(self._progress)
        await self._bring_payments(invoices)
        await self._tell_what_vanished(invoices.seen)

    def summarize(self) -> Report:
        """Return the report, once the loader has ended."""
        done = self._loader.report
        for kind, counts in done.counts.items():
            self._report.new[kind] = counts.created
            self._report.updated[kind] = counts.updated
            self._report.unchanged[kind] = counts.unchanged
        for fault in done.faults:
            self._report.leave_out(fault.kind or "record", fault.reason, str(fault.uuid))
        untold = done.fault_count - len(done.faults)
        if untold:
            self._report.leave_out("record", "there were too many to tell of each", count=untold)
        return self._report

    async def _bring(
        self,
        kind: str,
        statement: Callable[[Source], Select[Any]],
        map_row: Callable[[Row], Record],
    ) -> None:
        async for row in self._rows(kind, statement):
            await self._add(kind, row, map_row)

    async def _rows(
        self, kind: str, statement: Callable[[Source], Select[Any]]
    ) -> AsyncIterator[Row]:
        async for row in self._source.rows(statement(self._source)):
            self._progress(kind)
            yield row

    async def _add(self, kind: str, row: Row, map_row: Callable[[Row], Record]) -> None:
        try:
            record = map_row(mapping.readable(row))
        except ValueError as error:
            self._report.leave_out(kind, why(error), _which(row))
            return
        self._seen[kind].add(record.uuid)
        await self._loader.add(record)

    async def _bring_roles(self) -> None:
        async for row in self._rows("customer_role", catalogue_queries.roles):
            if row["scope"] == "structure.customer":
                await self._add("customer_role", row, mapping.role)
            else:
                scope = row["scope"] or "a place that does not exist"
                self._report.leave_out("role", f"a role at {scope} gives no access to invoices")

    async def _bring_subnets(self) -> None:
        if self._source.has("structure_accesssubnet"):
            await self._bring("access_subnet", catalogue_queries.subnets, mapping.subnet)
            return
        async for row in self._source.rows(catalogue_queries.listed_subnets(self._source)):
            for network in filter(None, map(str.strip, row["access_subnets"].split(","))):
                await self._add(
                    "access_subnet",
                    {"uuid": row["customer"], "network": network},
                    lambda row: mapping.listed_subnet(public_id(row["uuid"]), row["network"]),
                )

    async def _bring_credits(self) -> None:
        if self._source.has("invoices_projectcredit"):
            counted = await self._source.all(billing_queries.project_credits(self._source))
            if counted[0]["count"]:
                self._report.leave_out(
                    "project_credit",
                    "credits of projects are not known here",
                    count=counted[0]["count"],
                )
        if not self._source.has("invoices_customercredit"):
            return
        offerings: dict[int, list[UUID]] = defaultdict(list)
        if self._source.has("invoices_customercredit_offerings"):
            async for row in self._source.rows(billing_queries.credit_offerings(self._source)):
                if row["offering"] is not None:
                    offerings[row["credit"]].append(public_id(row["offering"]))
        await self._bring(
            "customer_credit",
            billing_queries.customer_credits,
            lambda row: mapping.credit(row, offerings[row["id"]]),
        )

    async def _bring_payments(self, invoices: Invoices) -> None:
        held = await local_state.payments_held(self._loader.connection)
        async for row in self._rows("payment", billing_queries.payments):
            try:
                invoice, payment = optional_id(row["invoice"]), public_id(row["uuid"])
            except ValueError as error:
                self._report.leave_out("payment", why(error), _which(row))
                continue
            if invoice in invoices.kept or payment in held:
                self._report.keep("payment", "its invoice was changed here", _which(row))
                continue
            if invoice in invoices.left_out:
                self._report.leave_out("payment", "its invoice was left out", _which(row))
                continue
            if row["proof"]:
                self._report.leave_out(
                    "proof_of_payment", "the file is not in Waldur's database", row["proof"]
                )
            await self._add("payment", row, mapping.payment)

    async def _tell_what_vanished(self, invoices: set[UUID]) -> None:
        connection, report = self._loader.connection, self._report
        await self._loader.flush()
        revoked = await local_state.revoke_vanished_tokens(connection, self._seen["token"])
        report.removed["token"] = revoked
        customers = self._seen["customer"]
        gone = "Waldur does not have it, or no longer"
        for kind, found in (
            ("invoice", await local_state.vanished_invoices(connection, invoices)),
            (
                "customer_role",
                await local_state.other_roles(connection, customers, self._seen["customer_role"]),
            ),
            (
                "access_subnet",
                await local_state.other_subnets(connection, customers, self._seen["access_subnet"]),
            ),
        ):
            for which in found:
                report.keep(kind, gone, which)


def _which(row: Row) -> str:
    """Name a row; a token is named by its user, never by its key."""
    return str(row.get("uuid") or row.get("user") or row.get("id"))
