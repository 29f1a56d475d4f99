"""Keys of the audit trail in tests."""

from typing import Final

from pydantic import SecretStr

KEY: Final = SecretStr("the key of the tests, and of nothing else")
EARLIER_KEY: Final = SecretStr("another key that was in use before this one")
_HISTORY: Final = (b'{"kind":"history_', b'{"kind":"subject_history_')


def without_history(exported: bytes) -> bytes:
    """Return the lines of an export that are not of the record: an import goes into that."""
    lines = exported.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(_HISTORY))
