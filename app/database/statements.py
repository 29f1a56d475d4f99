"""Types of statements, and options for sending them."""

from typing import Any, Final

from sqlalchemy import Select

AnySelect = Select[*tuple[Any, ...]]
"""A select of any columns."""

NO_STATEMENT_CACHE: Final = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""Connection arguments that disable named prepared statements, as a pooler requires."""
