"""Checks that the reference `plain` responds as the service does, so that they compare."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from benchmarks.cases import Answer, Case
from benchmarks.console import Unusable


async def compare(base: str, cases: Sequence[Case], answers: Mapping[str, Answer]) -> None:
    """Raise Unusable unless each answer of `plain` is the service's.

    Keys without a value are no difference: the service leaves some out, `plain` sends null.
    """
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        for case in cases:
            if not case.plain:
                continue
            response = await client.get(case.plain)
            if response.status_code != 200:
                raise Unusable(f"plain answers {case.plain} with {response.status_code}.")
            expected = _without_nulls(json.loads(answers[case.name].body))
            difference = _difference(expected, _without_nulls(response.json()), case.name)
            if difference:
                raise Unusable(f"plain answers otherwise than the service: {difference}.")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    return value


def _difference(expected: Any, found: Any, where: str) -> str:
    """Return the first difference; empty without one."""
    if isinstance(expected, dict) and isinstance(found, dict) and list(expected) == list(found):
        pairs = [(f"{where}.{key}", expected[key], found[key]) for key in expected]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [
            (f"{where}[{position}]", *pair)
            for position, pair in enumerate(zip(expected, found, strict=True))
        ]
    else:
        return "" if expected == found else f"{where}: {expected!r} against {found!r}"
    return next((text for place, a, b in pairs if (text := _difference(a, b, place))), "")
