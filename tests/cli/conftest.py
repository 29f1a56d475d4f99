"""Fixtures of the tests of commands."""

from collections.abc import Iterator

import pytest

from app import clock
from tests.cli.currency_deployment import NOW


@pytest.fixture
def november() -> Iterator[None]:
    clock.freeze(NOW)
    yield
    clock.freeze(None)
