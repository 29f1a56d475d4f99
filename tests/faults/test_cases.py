"""The fault suite: all cases, with the slow tests.

Other tests check the same behaviour as the quick cases faster: lost connections to PostgreSQL in
`test_comparison`, a restart of PostgreSQL under load in `test_database_restart`, an acceptance that
the worker never learns of in `test_sending` and `tests/notifications/test_sending.py`.
"""

import pytest

from faults.case import Case
from faults.case_runner import run_case
from faults.cases import all_cases

pytestmark = [pytest.mark.usefixtures("child_processes"), pytest.mark.slow]

CUSTOMERS = 20
"""Enough for a case that takes a few seconds."""


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.name)
async def test_nothing_is_lost_wrong_or_doubled(case: Case) -> None:
    outcome = await run_case(case, patient=False, customers=CUSTOMERS if case.quick else 60)
    if outcome.missing:
        pytest.skip(outcome.missing)
    assert not outcome.findings.lines()
    assert outcome.findings.requests > 0
