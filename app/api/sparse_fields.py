"""Parameters that are lists of words; the `field` parameter: which keys are sent."""

from collections.abc import Sequence
from typing import Any

from pydantic import PlainValidator, WithJsonSchema


def array_of(words: Sequence[str], **presentation: Any) -> WithJsonSchema:
    """Return the schema of a list of the given words; `presentation` is its style and explode."""
    items = {"type": "string", "enum": [str(word) for word in words]}
    return WithJsonSchema({"type": "array", "items": items, **presentation})


def selecting(documented: Sequence[str]) -> PlainValidator:
    """Return the validator of a `field` parameter over names in their documented order.

    Its value is what is to be sent: unknown names are ignored, and if none is known, all are.
    """
    everything = tuple(documented)

    def select(given: list[str]) -> tuple[str, ...]:
        asked = frozenset(given)
        return tuple(name for name in everything if name in asked) or everything

    return PlainValidator(select)
