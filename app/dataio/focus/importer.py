"""Importing a cost export: read, group, compare with what is there, write in one transaction."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from app import clock
from app.audit.actor import Actor
from app.audit.writer import audited_transaction
from app.billing.currencies import get_currency
from app.billing.enums import ImportSource
from app.billing.periods import Period
from app.database.engine import Database
from app.database.errors import DatabaseUnavailable
from app.dataio.focus import identifiers, stored_invoices
from app.dataio.focus.duplicate_rows import EqualRows
from app.dataio.focus.errors import NotImported
from app.dataio.focus.grouping import Bill, group
from app.dataio.focus.import_report import Fate, InvoiceOutcome, Outcome, counted
from app.dataio.focus.mapping import Draft, Mapping
from app.dataio.focus.missing_charges import losses
from app.dataio.focus.reader import Charge, Progress, read, read_titles
from app.dataio.focus.stored_invoices import StoredInvoice
from app.dataio.import_report import BadRecords, ImportRunning
from app.dataio.loader import Loader, importing
from app.dataio.records import Record
from app.dataio.registry import KIND_OF
from app.invoices.actions.issue import IssueInvoice, issue
from app.invoices.errors import WrongInvoiceState
from app.invoices.states import OPEN_FOR_ITEMS
from app.settings import Settings

_ACTOR: Final = Actor("import_focus")
_HOW_TO_REPLACE: Final = (
    "Name all parts of an export in one command; --replace makes the invoices as the files have "
    "them, without what is not in these."
)


@dataclass(frozen=True)
class Options:
    """What whoever imports may choose."""

    tax_percent: Decimal | None = None
    """Of every invoice; none means 0 for new ones and for those with rows of tax, and what they
    have for others."""
    currency: str | None = None
    """Only charges in this currency; none means all, which must be in the deployment's."""
    issue: bool = False
    """Issue the invoices of past months."""
    notify: bool = False
    """Notify of what is issued, where NOTIFY_ON_ISSUE is on."""
    drop_tax_rows: bool = False
    """Leave out the charges of the category Tax."""
    allow_equal_rows: bool = False
    """Import files that have rows in common, as parts of one export may."""
    replace: bool = False
    """Take away what an earlier import brought and the files do not have."""
    keep_good: bool = False
    """Leave out the invoices that cannot be changed, and take the others."""


async def run(
    database: Database,
    settings: Settings,
    paths: Sequence[Path],
    options: Options = Options(),
    progress: Progress = lambda _: None,
) -> Outcome:
    """Import files that are one bill together; return what was done.

    `progress` is called with the part that is done: one half is reading, the other writing. Raises
    NotImported with nothing written.
    """
    charges = _charges(paths, progress, allow_equal_rows=options.allow_equal_rows)
    bill = group(charges, options.currency, drop_tax=options.drop_tax_rows)
    warnings = _check_currency(bill, settings.currency, options.currency)
    currency = options.currency or settings.currency
    if options.tax_percent and not options.drop_tax_rows:
        _refuse_tax_rows(bill, currency)
    try:
        async with importing(database, settings, _ACTOR) as loader:
            bill, told = await stored_invoices.identified(loader.connection, bill)
            mapping = Mapping(bill, currency, options.tax_percent or Decimal(0))
            invoices = await _Import(loader, mapping, options, progress).run()
    except ImportRunning as error:
        raise NotImported(str(error)) from error
    except BadRecords as error:
        raise NotImported(*(fault.reason for fault in error.report.faults)) from error
    outcome = Outcome(
        currency=currency,
        rows=bill.rows,
        invoices=[each for _, each in invoices],
        billed=mapping.split.billed,
        left_out={name: n for name, n in bill.currencies.items() if name != currency},
        warnings=warnings + told,
        tax_rows=bill.tax_rows,
        tax=bill.tax,
        tax_dropped=options.drop_tax_rows,
    )
    if options.issue:
        kept = [uuid for uuid, each in invoices if each.fate is not Fate.REFUSED]
        await _issue(database, settings, kept, outcome, notify=options.notify)
    return outcome


def _charges(
    paths: Sequence[Path], progress: Progress, *, allow_equal_rows: bool
) -> Iterator[Charge]:
    equal = None
    if len(paths) > 1 and not allow_equal_rows:
        titles = []
        for path in paths:
            with _named(path, len(paths)):
                titles.append(read_titles(path))
        equal = EqualRows(titles)
    for position, path in enumerate(paths):

        def report(part: float, before: int = position) -> None:
            progress((before + part) / len(paths) / 2)

        with _named(path, len(paths)):
            yield from read(path, report, equal.listener(position) if equal else None)
    if equal and (same := list(equal.lines([str(path) for path in paths]))):
        raise NotImported(
            *same,
            "Import each charge once. If these are parts of one export that rightly have equal "
            "rows, --allow-equal-rows imports them.",
        )


@contextmanager
def _named(path: Path, files: int) -> Iterator[None]:
    """Name the file that is not imported, where there are several."""
    try:
        yield
    except NotImported as error:
        if files == 1:
            raise
        raise NotImported(*(f"{path}: {line}" for line in error.lines)) from error


def _refuse_tax_rows(bill: Bill, currency: str) -> None:
    if bill.tax_rows:
        raise NotImported(
            f"The file has taxes of the provider: {counted(bill.tax_rows, 'row')} of the category "
            f"Tax, {bill.tax:f} {currency} in all. --tax would tax them again.",
            "--drop-tax-rows leaves them out; without --tax they are billed as they are, with no "
            "other tax on their invoices.",
        )


def _check_currency(bill: Bill, ours: str, chosen: str | None) -> list[str]:
    found = ", ".join(
        f"{name} ({counted(count, 'charge')})" for name, count in bill.currencies.items()
    )
    if not bill.currencies:
        return ["The file has no charges."]
    if chosen is None and set(bill.currencies) != {ours}:
        raise NotImported(
            f"The invoices of this service are in {ours}; the file is in {found}.",
            "Choose the charges to import with --currency.",
        )
    if chosen is not None and chosen not in bill.currencies:
        raise NotImported(f"The file has no charges in {chosen}; it is in {found}.")
    if chosen is not None and chosen != ours:
        _require_decimals(chosen, ours)
        return [
            f"The amounts are in {chosen} and were taken as they are; "
            f"this service shows them as {ours}."
        ]
    return []


def _require_decimals(chosen: str, ours: str) -> None:
    """Refuse a currency whose amounts those of the deployment cannot hold, or would change."""
    try:
        found = get_currency(chosen)
    except ValueError as error:
        raise NotImported(f"{error}.") from error
    kept = get_currency(ours)
    if found.decimals != kept.decimals:
        raise NotImported(
            f"{chosen} has {found.decimals} decimals and {ours}, in which the invoices of this"
            f" service are, has {kept.decimals}: the amounts cannot be taken as they are."
        )


class _Import:
    """The part of an import that happens in its transaction."""

    def __init__(
        self, loader: Loader, mapping: Mapping, options: Options, progress: Progress
    ) -> None:
        self._loader = loader
        self._connection = loader.connection
        self._mapping = mapping
        self._options = options
        self._progress = progress
        self._would_lose = False
        """Whether an invoice is refused for what it would lose."""
        self._removed: list[UUID] = []
        """The items that go since they are not in the file."""

    async def run(self) -> list[tuple[UUID, InvoiceOutcome]]:
        """Write what the file says; return each invoice's UUID and what became of it."""
        drafts = self._mapping.drafts
        if not drafts:
            return []
        there = await stored_invoices.invoices_of(
            self._connection, {each.customer for each in drafts}
        )
        pairs = [
            (each, there.get((each.customer, each.key.year, each.key.month))) for each in drafts
        ]
        final = await self._final(pairs)
        refused = [
            (draft, found, why) for draft, found in pairs if (why := final.get(_uuid(draft, found)))
        ]
        if refused and not self._options.keep_good:
            names = await stored_invoices.customer_names(
                self._connection, {each.customer for each in drafts}
            )
            raise NotImported(
                *(
                    f"{f'Invoice {found.number}' if found else 'The new invoice'} "
                    f"({draft.key.year}-{draft.key.month:02}, "
                    f"{names.get(draft.customer) or self._mapping.customer_name(draft.key.account)}"
                    f"): {why}."
                    for draft, found, why in refused
                ),
                *([_HOW_TO_REPLACE] if self._would_lose else []),
                "Nothing was imported; --keep-good takes the other invoices.",
            )
        await self._write(
            [(draft, found) for draft, found in pairs if _uuid(draft, found) not in final]
        )
        return await self._outcomes(pairs, final)

    async def _final(self, pairs: Iterable[tuple[Draft, StoredInvoice | None]]) -> dict[UUID, str]:
        """Return the invoices that stay as they are, with why where the file differs."""
        final = {}
        for draft, found in pairs:
            if found is not None and not found.is_open:
                final[found.uuid] = await self._against_issued(draft, found)
            elif why := await self._against_open(draft, found):
                final[_uuid(draft, found)] = why
        return final

    async def _against_issued(self, draft: Draft, found: StoredInvoice) -> str:
        if found.source != ImportSource.FOCUS:
            return "it was not made by such an import"
        if found.currency not in (None, self._mapping.currency):
            return f"its charges are in {found.currency}"
        items = await stored_invoices.items_of(self._connection, found.id)
        count = stored_invoices.differences(items, self._mapping.items(draft, found.uuid))
        if count:
            rounding = await stored_invoices.price_of_items(self._connection, [_rounding(draft)])
            billed = sum((item.price for item in items), rounding)
            more = draft.amounts.price - billed
            lines = "1 line of it differs" if count == 1 else f"{count:,} lines of it differ"
            return (
                f"it is {found.state} and {lines} in the file, which bills "
                f"{draft.amounts.price:f}, and the invoice {billed:f}: a difference of {more:+f}"
            )
        tax = self._tax_percent(draft)
        if tax is not None and tax != found.tax_percent:
            return f"it is {found.state} with a tax of {found.tax_percent:f} %"
        return ""

    async def _against_open(self, draft: Draft, found: StoredInvoice | None) -> str:
        """Tell what keeps the file from an invoice that is new or can be changed."""
        uuid = _uuid(draft, found)
        given = self._mapping.lines(draft)
        for number, state, count, price in await stored_invoices.on_other_invoices(
            self._connection, uuid, given
        ):
            if state != OPEN_FOR_ITEMS or not self._options.replace:
                self._would_lose |= state == OPEN_FOR_ITEMS
                return (
                    f"{counted(count, 'item')} of {price:f} would be taken from invoice {number}, "
                    f"which is {state}"
                )
        if found is None:
            return ""
        if found.source not in (None, ImportSource.FOCUS):
            return f"it was imported from {found.source}"
        if found.currency not in (None, self._mapping.currency):
            return f"its charges are in {found.currency}"
        there = stored_invoices.lines_of(await stored_invoices.items_of(self._connection, found.id))
        if not self._options.replace and (lost := losses(there, given)):
            self._would_lose = True
            return f"{lost}, since an earlier import brought what is not in the file"
        self._removed += [uuid for uuid in there if uuid not in given]
        return ""

    def _tax_percent(self, draft: Draft) -> Decimal | None:
        """Return the tax that an invoice gets; none if it keeps its own.

        One that has the provider's taxes among its lines is not taxed again.
        """
        return Decimal(0) if draft.has_tax else self._options.tax_percent

    async def _write(self, pairs: list[tuple[Draft, StoredInvoice | None]]) -> None:
        await self._add_references()
        for draft, found in pairs:
            if found is None:
                await self._loader.add(self._mapping.invoice(draft))
        there = [found for _, found in pairs if found is not None]
        ids = [found.id for found in there]
        await stored_invoices.take_over(
            self._connection, ids, self._options.tax_percent or Decimal(0)
        )
        taxes: dict[Decimal, list[int]] = {}
        for draft, found in pairs:
            tax = self._tax_percent(draft)
            if found is not None and tax is not None:
                taxes.setdefault(tax, []).append(found.id)
        for tax, own in taxes.items():
            await stored_invoices.set_tax(self._connection, own, tax)
        total, done = sum(len(draft.lines) for draft, _ in pairs), 0
        for draft, found in pairs:
            for item in self._mapping.items(draft, _uuid(draft, found)):
                await self._loader.add(item)
            done += len(draft.lines)
            self._progress(0.5 + done / total / 2)
        await self._loader.flush()
        roundings = [_rounding(draft) for draft, found in pairs if found is not None]
        await stored_invoices.remove_items(self._connection, self._removed + roundings)

    async def _add_references(self) -> None:
        """Add what is not there yet; what is may have been completed here and stays as it is."""
        by_kind: dict[type[Record], list[Record]] = {}
        for record in self._mapping.references():
            by_kind.setdefault(type(record), []).append(record)
        for model, records in by_kind.items():
            uuids = [record.uuid for record in records]
            there = await stored_invoices.already_there(self._connection, KIND_OF[model], uuids)
            for record in records:
                if record.uuid not in there:
                    await self._loader.add(record)
            await self._loader.flush()

    async def _outcomes(
        self, pairs: list[tuple[Draft, StoredInvoice | None]], final: dict[UUID, str]
    ) -> list[tuple[UUID, InvoiceOutcome]]:
        uuids = [_uuid(draft, found) for draft, found in pairs]
        now = await stored_invoices.revisions(self._connection, uuids)
        names = await stored_invoices.customer_names(
            self._connection, {draft.customer for draft, _ in pairs}
        )
        others = await stored_invoices.items_of_others(
            self._connection,
            [found.id for _, found in pairs if found is not None],
            [_rounding(draft) for draft, _ in pairs],
        )
        outcomes = []
        for uuid, (draft, found) in zip(uuids, pairs, strict=True):
            number, revision = now.get(uuid, (None, 0))
            fate, note = _fate(found, revision, final.get(uuid, ""))
            if found is not None and found.id in others:
                count, price = others[found.id]
                beside = f"no import brought {counted(count, 'item')} of {price:f} on it"
                note = f"{note}; {beside}" if note else beside
            key = draft.key
            name = names.get(draft.customer) or self._mapping.customer_name(key.account)
            outcomes.append(
                (uuid, InvoiceOutcome(name, key.year, key.month, number, fate, draft.amounts, note))
            )
        updated = [uuid for uuid, each in outcomes if each.fate is Fate.UPDATED]
        await self._loader.note_imported(updated)
        return outcomes


def _uuid(draft: Draft, found: StoredInvoice | None) -> UUID:
    """Return the UUID that an invoice has, or gets if it is new."""
    return found.uuid if found else draft.uuid


def _rounding(draft: Draft) -> UUID:
    """Return the UUID of the item by which earlier versions rounded an invoice."""
    return identifiers.rounding(draft.key)


def _fate(found: StoredInvoice | None, revision: int, refusal: str) -> tuple[Fate, str]:
    if refusal:
        return Fate.REFUSED, refusal
    if found is None:
        return Fate.NEW, ""
    if revision == found.revision:
        return Fate.UNCHANGED, ""
    if found.was_issued_empty:
        return Fate.UPDATED, "it was issued without items, and was made pending again"
    if found.was_changed_here:
        return Fate.UPDATED, "it was changed here; the items of imports are the file's again"
    return Fate.UPDATED, ""


async def _issue(
    database: Database, settings: Settings, uuids: list[UUID], outcome: Outcome, *, notify: bool
) -> None:
    """Issue what is pending of past months, each in its own transaction, as the close does."""
    running = Period.containing(clock.today())
    async with database.reading() as connection:
        pending = await stored_invoices.pending_before(connection, uuids, running)
    for invoice_id, number in pending:
        try:
            async with audited_transaction(database, settings.audit_key, _ACTOR) as connection:
                await issue(connection, IssueInvoice(invoice_id, notify), settings)
        except WrongInvoiceState:
            continue  # it was issued or canceled meanwhile
        except (DBAPIError, DatabaseUnavailable) as error:
            outcome.not_issued.append(f"Invoice {number} was not issued: {error.orig}")
        else:
            outcome.issued += 1
