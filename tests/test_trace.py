"""The number of modules and functions of `app/` that a warm request runs does not grow."""

import sys

import httpx
import pytest

from tests.support.factories import Factories
from tests.support.tracing import CASES

LIMITS = {"list": (20, 60), "paid": (34, 131)}
"""The modules and functions at most.

A payment with its proof took 32 and 120 before its store could be a bucket as well as a folder.
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in Python 3.12")
@pytest.mark.parametrize("case", CASES)
async def test_a_warm_request_runs_few_functions(
    case: str, client: httpx.AsyncClient, make: Factories
) -> None:
    trace = await CASES[case](client, make)
    modules, functions = LIMITS[case]
    assert len(trace.modules) <= modules, sorted(trace.modules)
    assert len(trace.functions) <= functions, sorted(trace.functions)
