"""The fault suite: one case in every test run, all cases with the slow tests.

Other tests check the same behaviour faster than the remaining quick cases: a restart of PostgreSQL
under load in `test_database_restart`, an acceptance that the worker never learns of in
`test_sending` and `tests/notifications/test_sending.py`.
"""

import pytest

from faults.case import Case
from faults.case_runner import run_case
from faults.cases import all_cases

pytestmark = pytest.mark.usefixtures("child_processes")

IN_EVERY_RUN = "postgresql-cut"
CUSTOMERS = 20
"""Enough for a case that takes a few seconds."""


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case, id=case.name, marks=() if case.name == IN_EVERY_RUN else pytest.mark.slow
        )
        for case in all_cases()
    ],
)
async def test_nothing_is_lost_wrong_or_doubled(case: Case) -> None:
    outcome = await run_case(case, patient=False, customers=CUSTOMERS if case.quick else 60)
    if outcome.missing:
        pytest.skip(outcome.missing)
    assert not outcome.findings.lines()
    assert outcome.findings.requests > 0
