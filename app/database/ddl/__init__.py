"""The functions and triggers of the database: today's text of each, in one place.

A revision copies the text of the objects that it creates or replaces, and stays as it is when the
files here change later.
"""

import re
from functools import cache
from pathlib import Path

_FUNCTION = re.compile(r"CREATE FUNCTION (\w+)\(.*?AS \$\$(.*?)\$\$;", re.DOTALL)
_TRIGGER = re.compile(r"CREATE TRIGGER (\w+)\s[^;]*?\sON (\w+)\s[^;]*;", re.DOTALL)
_COMMENT = re.compile(r"--[^\n]*")
_SPACE = re.compile(r"\s*([(),;])\s*|\s+")


@cache
def script() -> str:
    """Return the SQL that creates every function and trigger in an empty schema with tables."""
    files = sorted(Path(__file__).parent.glob("*.sql"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@cache
def functions() -> dict[str, str]:
    """Return the body of each function, normalised, by its name."""
    return {name: normalised(body) for name, body in _FUNCTION.findall(script())}


@cache
def triggers() -> frozenset[tuple[str, str]]:
    """Return the table and the name of each trigger."""
    declarations = _FUNCTION.sub("", script())
    return frozenset((table, name) for name, table in _TRIGGER.findall(declarations))


def normalised(sql: str) -> str:
    """Return SQL without comments, and without space that has no meaning."""
    return _SPACE.sub(lambda space: space[1] or " ", _COMMENT.sub("", sql)).strip()
