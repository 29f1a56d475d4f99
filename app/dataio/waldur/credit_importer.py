"""Imports credits, their ledger and affiliates, and never overwrites a balance that moved here."""

from collections import defaultdict
from functools import partial
from typing import Final
from uuid import UUID

from app import clock
from app.billing.enums import CreditTransactionType
from app.credits.models import CustomerAffiliate
from app.dataio.records.credits import AffiliateFeeAccrualRecord, CreditTransactionRecord
from app.dataio.waldur import credit_ledger, credit_mapping, selects
from app.dataio.waldur.credit_ledger import UnexplainedBalance
from app.dataio.waldur.credit_mapping import explanation_uuid
from app.dataio.waldur.mapping import Row
from app.dataio.waldur.row_importer import MapRow, RowImporter, name_row

_TABLES: Final = {
    "customer_credit": "invoices_customercredit",
    "project_credit": "invoices_projectcredit",
}
_CHANGED_HERE: Final = "the balance of the credit has moved here"
_COMMENT: Final = "The balance in Waldur that its ledger does not explain."


class CreditImporter:
    """Imports the credits before the invoices, and their ledger after them.

    A credit is changed here once the ledger has a movement that is not Waldur's. Then it stays as
    it is, and so does its ledger.
    """

    def __init__(self, rows: RowImporter) -> None:
        self._rows = rows
        self._changed: set[UUID] = set()
        """Credits whose balance has moved in this service."""
        self._explanations: dict[UUID, int] = {}
        """The number of movements by which imports have explained a balance, by credit."""
        self._stored: dict[str, dict[UUID, UUID]] = {}
        """The stored credits by customer or project, by kind."""
        self._known: dict[str, set[UUID]] = defaultdict(set)
        """The credits of Waldur, by kind."""

    async def import_credits(self) -> None:
        """Import the credits of customers and projects, and the affiliates."""
        rows = self._rows
        await self._find_changes()
        await self._find_stored_credits()
        offerings = await rows.lists(selects.credit_offerings(rows.waldur))
        async for row in rows.rows("customer_credit", "invoices_customercredit"):
            map_row = partial(credit_mapping.map_customer_credit, offerings=offerings[row["id"]])
            await self._add_credit("customer_credit", row, map_row)
        async for row in rows.rows("project_credit", "invoices_projectcredit"):
            await self._add_credit("project_credit", row, credit_mapping.map_project_credit)
            if row["use_organisation_credit"]:
                difference = "the credit of the organization does not pay its rest here"
                rows.report.adapted.add("project_credit", difference, name_row(row))
        await self._import_affiliates()

    async def import_ledger(self) -> None:
        """Import the ledger and the fees of affiliates. The invoices must be stored.

        The ledgers of older releases are shorter than the lives of their credits, and the oldest
        have none. A movement of this import then explains the rest of the balance.
        """
        rows, waldur = self._rows, self._rows.waldur
        if waldur.has("invoices_credittransaction"):
            async for row in rows.rows("credit_transaction", selects.ledger(waldur)):
                await self._add_transaction(row)
        await rows.import_rows(AffiliateFeeAccrualRecord, "invoices_affiliatefeeaccrual")
        await rows.loader.flush()
        imported = (rows.seen["customer_credit"] | rows.seen["project_credit"]) - self._changed
        for unexplained in await credit_ledger.find_unexplained_balances(
            rows.loader.connection, imported
        ):
            await rows.loader.add(self._explain(unexplained))

    def _explain(self, balance: UnexplainedBalance) -> CreditTransactionRecord:
        of_project = balance.project is not None
        return CreditTransactionRecord(
            uuid=explanation_uuid(balance.credit, self._explanations.get(balance.credit, 0)),
            customer_uuid=balance.customer,
            customer_credit_uuid=None if of_project else balance.credit,
            project_credit_uuid=balance.credit if of_project else None,
            project_uuid=balance.project,
            project_name=balance.project_name,
            amount=balance.difference,
            transaction_type=CreditTransactionType.ADJUSTMENT,
            comment=_COMMENT,
            created_at=clock.now(),
        )

    async def _find_changes(self) -> None:
        """Divide the movements that are not Waldur's into explanations and changes."""
        waldur, connection = self._rows.waldur, self._rows.loader.connection
        imported = set()
        if waldur.has("invoices_credittransaction"):
            async for row in waldur.rows(selects.ledger_uuids(waldur)):
                imported.add(row["uuid"])
        own = await credit_ledger.find_own_movements(connection, imported)
        for credit, movements in own.items():
            explanations = {explanation_uuid(credit, each) for each in range(len(movements))}
            if explanations.issuperset(movements):
                self._explanations[credit] = len(movements)
            else:
                self._changed.add(credit)

    async def _find_stored_credits(self) -> None:
        waldur = self._rows.waldur
        for kind, table in _TABLES.items():
            self._stored[kind] = await credit_ledger.find_credits(
                self._rows.loader.connection, kind
            )
            if waldur.has(table):
                known = await waldur.all(waldur.select(table))
                self._known[kind] = {row["uuid"] for row in known}

    async def _add_credit(self, kind: str, row: Row, map_row: MapRow) -> None:
        report = self._rows.report
        if row["uuid"] in self._changed:
            self._rows.seen[kind].add(row["uuid"])
            report.preserved.add(kind, _CHANGED_HERE, name_row(row))
            return
        await self._replace(kind, row)
        if not await self._rows.add(kind, row, map_row):
            return
        if row["value"] < 0:
            report.adapted.add(kind, "its balance below zero is zero here", name_row(row))
        if credit_mapping.credit_end(row["end_date"]) != row["end_date"]:
            report.adapted.add(kind, "it ends on the first day of the next month", name_row(row))

    async def _replace(self, kind: str, row: Row) -> None:
        """Let a credit replace that of the same customer or project, if Waldur has deleted it."""
        owner, uuid = row["customer" if kind == "customer_credit" else "project"], row["uuid"]
        stored = self._stored[kind].get(owner)
        if stored is None or stored in self._changed or stored in self._known[kind]:
            return
        if isinstance(uuid, UUID):
            connection = self._rows.loader.connection
            await credit_ledger.replace_credit(connection, kind, stored, uuid)
            difference = "it replaces one that Waldur has deleted"
            self._rows.report.adapted.add(kind, difference, name_row(row))

    async def _add_transaction(self, row: Row) -> None:
        report = self._rows.report
        if {row["customer_credit"], row["project_credit"]} & self._changed:
            report.preserved.add("credit_transaction", _CHANGED_HERE, name_row(row))
            return
        if not await self._rows.add("credit_transaction", row, credit_mapping.map_transaction):
            return
        if row["object_id"] is not None and row["invoice"] is None:
            difference = f"it does not name its cause, {row['cause'] or 'a missing object'}"
            report.adapted.add("credit_transaction", difference, name_row(row))

    async def _import_affiliates(self) -> None:
        rows, waldur = self._rows, self._rows.waldur
        if not waldur.has("invoices_customeraffiliate"):
            return
        affiliates = selects.affiliates(waldur)
        await rows.deactivate_others(CustomerAffiliate, "customer_affiliate", affiliates)
        async for row in rows.rows("customer_affiliate", affiliates):
            if row["is_active"] and not row["is_newest"]:
                difference = "it is not active, since the customer has a newer active one"
                rows.report.adapted.add("customer_affiliate", difference, name_row(row))
            await rows.add("customer_affiliate", row, credit_mapping.map_affiliate)
