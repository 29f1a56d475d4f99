"""The configuration of documented schemas: request and response bodies, and query parameters."""

from typing import Final

from pydantic import ConfigDict

DOCUMENTED: Final = ConfigDict(use_attribute_docstrings=True, defer_build=True)
"""The docstrings of fields document them. A process builds a schema when it first uses it: few need
all of them, and all take a tenth of a second of each start."""
