"""Sparse fieldsets: the `field` parameter, and the schemas of parameters with several values."""

from collections.abc import Sequence
from typing import Any

from pydantic import PlainValidator, WithJsonSchema


def array_of(component: str, words: Sequence[str], **presentation: Any) -> WithJsonSchema:
    """Return the schema of a list of these words; `presentation` has its style and explode.

    `component` is the name of the words in the OpenAPI document.
    """
    items = {"title": component, "type": "string", "enum": [str(word) for word in words]}
    return WithJsonSchema({"type": "array", "items": items, **presentation})


def sparse_fieldset(documented: Sequence[str]) -> PlainValidator:
    """Return the validator of a `field` parameter over names in their documented order.

    Unknown names are ignored. If no name is known, the value has all names.
    """
    everything = tuple(documented)

    def select(given: list[str]) -> tuple[str, ...]:
        requested = frozenset(given)
        return tuple(name for name in everything if name in requested) or everything

    return PlainValidator(select)
