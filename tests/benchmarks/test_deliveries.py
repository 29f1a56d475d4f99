"""The deliveries at the beginning of a benchmark."""

from pathlib import Path

import pytest

from benchmarks.deliveries import _schedule
from benchmarks.servers import Environment


async def test_the_environment_has_all_that_scheduling_needs(
    database_url: str, redis_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUDIT_KEY")  # as where nobody but the benchmark sets one
    await _schedule(Environment(redis_server, tmp_path), database_url)
