"""The running version."""

import platform
from typing import Final

from prometheus_client import Gauge

from app import __version__

_BUILD: Final = Gauge(
    "invoicing_build_info",
    "1, with the version of the service and of Python.",
    ["version", "python"],
    multiprocess_mode="livemax",
)


def set_build_info() -> None:
    """Set the versions; to be called when the process starts."""
    _BUILD.labels(__version__, platform.python_version()).set(1)
