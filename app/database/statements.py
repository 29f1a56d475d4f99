"""Types of statements, and how they are sent."""

from typing import Any, Final

from sqlalchemy import Select

AnySelect = Select[*tuple[Any, ...]]
"""A select of any columns."""

NO_STATEMENT_CACHE: Final = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""What makes the driver keep no statement under a name in a session that others will use."""
