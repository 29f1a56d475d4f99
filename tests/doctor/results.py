"""Assertions about the results of a check."""

from collections.abc import AsyncIterator

from app.doctor.check_result import CheckResult, Level


async def collect(check: AsyncIterator[CheckResult]) -> list[CheckResult]:
    """Run a check, and return its results."""
    return [result async for result in check]


def is_well(results: list[CheckResult]) -> bool:
    """Return whether a check has one result, and it is well."""
    return [result.level for result in results] == [Level.WELL]


def only(results: list[CheckResult], level: Level) -> str:
    """Return the message and the advice of the only result, which must have the level."""
    (result,) = results
    assert result.level is level, result
    assert result.advice.endswith(".")
    return f"{result.message}. {result.advice}"
