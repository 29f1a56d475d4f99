"""The case of the fault suite that every test run has, and what the comparison finds after it."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from faults.case_runner import prepared_stack, run_on_stack
from faults.cases import all_cases
from faults.comparison import compare
from faults.findings import Findings
from faults.load import LoadGenerator
from faults.request_log import Attempt, Kind
from faults.results import CaseResult
from faults.stack import Stack

pytestmark = pytest.mark.usefixtures("child_processes")

TAMPERING = (
    "SET LOCAL session_replication_role = replica",  # nothing notices, as where data was lost
    "DELETE FROM payments WHERE id = (SELECT min(id) FROM payments)",
    "INSERT INTO payments (uuid, profile_id, invoice_id, date_of_payment, sum, created_at)"
    " SELECT gen_random_uuid(), profile_id, invoice_id, date_of_payment, sum, created_at"
    " FROM payments WHERE id = (SELECT max(id) FROM payments)",
    "UPDATE payments SET proof_sha256 = repeat('0', 64) WHERE id = (SELECT max(id) FROM payments"
    " WHERE proof_key IS NOT NULL)",
    "UPDATE invoices SET payment_url = 'https://elsewhere.example' WHERE payment_url <> ''",
    "DELETE FROM notification_deliveries WHERE id = (SELECT min(id) FROM notification_deliveries)",
    "UPDATE notification_deliveries SET state = 'pending', sent_at = NULL, next_attempt_at = now()"
    " WHERE id = (SELECT max(id) FROM notification_deliveries)",
    "DELETE FROM notification_deliveries WHERE id = (SELECT min(id) FROM notification_deliveries"
    " WHERE credit_note_id IS NOT NULL)",
    "UPDATE credit_notes SET reason = 'Another' WHERE id = (SELECT min(id) FROM credit_notes)",
    "INSERT INTO credit_notes (uuid, number, invoice_id, issue_date, reason, net, gross, content,"
    " digest) SELECT gen_random_uuid(), number + 2, invoice_id, issue_date, reason, net, gross,"
    " content, digest FROM credit_notes WHERE id = (SELECT max(id) FROM credit_notes)",
    "UPDATE invoice_tallies SET invoices = invoices + 1 WHERE id = (SELECT min(id)"
    " FROM invoice_tallies)",
)
NAMED = "SELECT proof_key FROM payments WHERE proof_key IS NOT NULL ORDER BY id LIMIT 1"


CASE = "postgresql-cut"
CUSTOMERS = 20
"""Enough for a case that takes a few seconds."""


@dataclass
class FinishedCase:
    """A case after its fault and the comparison; the stack runs on."""

    stack: Stack
    load: LoadGenerator
    outcome: CaseResult


@pytest.fixture(scope="module")
async def finished() -> AsyncIterator[FinishedCase]:
    (known,) = (each for each in all_cases() if each.name == CASE)
    case = replace(known, credits_invoices=True)
    async with prepared_stack(case, CUSTOMERS) as (stack, load):
        yield FinishedCase(stack, load, await run_on_stack(case, stack, load, patient=False))


@pytest.mark.slow
async def test_nothing_is_lost_wrong_or_doubled(finished: FinishedCase) -> None:
    assert not finished.outcome.findings.lines()
    assert finished.outcome.findings.requests > 0
    assert finished.outcome.recovery is not None


@pytest.mark.slow
async def test_lost_wrong_and_doubled_changes_are_found(finished: FinishedCase) -> None:
    stack, load = finished.stack, finished.load
    await tamper(stack, load)
    async with stack.database() as database:
        found = await compare(database, stack.settings, stack.smtp, load)
    assert_told(
        found.lost,
        "the payment of",
        "payment_url of .* is 'https://elsewhere.example'",
        "the notification of owner-",
        "the mail .*: it is pending",
        "the credit note: Correction",
        "the mail of the credit note Correction .* to owner-",
    )
    assert_told(found.doubled, "2 payments of", "the mail .* 2 times", "2 credit notes: Correction")
    assert_told(
        found.wrong,
        "is paid, but has",
        "wrong date or proof of the payment",
        "wrong digest of the proof of",
        "a mail .* to somebody@else.example without a delivery",
        "a mail .* to owner-.* without a delivery",
        "a credit note that was not requested: Another",
        "credit notes, of which the last has the number",
        "the summaries differ",
        "audit: .* payment",
        "the file .* belongs to no payment|the proof .* is missing",
        "list: 500",
        "list: 503 without Retry-After",
        "list: no response: ReadError",
        "list: took 11.0 s",
        "list: 404 without the documented body",
    )
    assert not found.clean


async def tamper(stack: Stack, load: LoadGenerator) -> None:
    async with stack.database() as database, database.transaction() as connection:
        for statement in TAMPERING:
            await connection.execute(text(statement))
        named = await connection.execute(text(NAMED))
        (stack.proofs / named.scalar_one()).unlink()
    # Several: the delivery of one of them may be among those that are deleted or pending.
    stack.smtp.mailbox += stack.smtp.mailbox[1:6]
    stack.smtp.mailbox.append(replace(stack.smtp.mailbox[2], recipients=["somebody@else.example"]))
    answers = (
        Attempt(0, 1, 500),
        Attempt(0, 1, 503),
        Attempt(0, 1, failure="ReadError"),
        Attempt(0, 11, 200),
        Attempt(0, 1, 404, well_formed=False),
    )
    load.request_log.open(Kind.LIST).attempts += answers


def assert_told(lines: list[str], *patterns: str) -> None:
    for pattern in patterns:
        assert any(re.search(pattern, line) for line in lines), (pattern, lines)


def test_no_findings_are_clean() -> None:
    assert Findings().clean
