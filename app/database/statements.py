"""Types of statements."""

from typing import Any

from sqlalchemy import Select

AnySelect = Select[*tuple[Any, ...]]
"""A select of any columns."""
