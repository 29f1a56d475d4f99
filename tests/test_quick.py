"""Tests are marked `quick` by their fixtures, and a wrong mark makes the test fail."""

import os
import subprocess
import sys

import pytest

from tests.support.databases import administer


def test_a_test_without_servers_and_processes_is_quick(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("quick")


def test_a_test_with_a_database_is_not_quick(
    request: pytest.FixtureRequest, database_url: str
) -> None:
    assert not request.node.get_closest_marker("quick")
    assert "DATABASE_URL" in os.environ


def test_a_quick_test_cannot_start_a_process() -> None:
    with pytest.raises(AssertionError, match="child_processes"):
        subprocess.run([sys.executable, "-c", ""], check=True)


async def test_a_quick_test_does_not_find_a_server() -> None:
    assert not {"DATABASE_URL", "REDIS_URL"} & set(os.environ)
    with pytest.raises(KeyError, match="DATABASE_URL"):
        await administer("SELECT 1")
