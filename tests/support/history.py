"""What seals the record of changes in the tests."""

from typing import Final

from pydantic import SecretStr

KEY: Final = SecretStr("the key of the tests, and of nothing else")
EARLIER_KEY: Final = SecretStr("another key that was in use before this one")
