"""The document of the format names every kind with every field, and its example is true."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sqlalchemy import Numeric

from app.dataio.records.audit import AuditRecord
from app.dataio.records.documents import DocumentRecord
from app.dataio.records.payments import ProofRecord
from app.dataio.records.record import kind_of
from app.dataio.registry import RECORD_KINDS, record_adapter

DOCUMENT = Path(__file__).parents[2] / "docs" / "data-format.md"
SECTIONS = {
    title: re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \| .*\|$", body, re.MULTILINE)
    for title, body in re.findall(
        r"^### (.+?)\n(.*?)(?=^### |\Z)", DOCUMENT.read_text(), re.M | re.S
    )
}


def fields(model: type[BaseModel]) -> list[tuple[str, bool]]:
    return [
        (name, field.is_required()) for name, field in model.model_fields.items() if name != "kind"
    ]


def test_the_document_has_every_kind_in_order() -> None:
    documented = [title.strip("`") for title in SECTIONS if title != "The `proof` of a `payment`"]
    assert documented == [kind.name for kind in RECORD_KINDS] + [
        kind_of(model) for model in (*get_args(DocumentRecord), *get_args(AuditRecord))
    ]


def test_the_document_has_every_field() -> None:
    models: dict[str, type[BaseModel]] = {f"`{kind.name}`": kind.model for kind in RECORD_KINDS}
    models["The `proof` of a `payment`"] = ProofRecord
    others = (*get_args(DocumentRecord), *get_args(AuditRecord))
    models |= {f"`{kind_of(model)}`": model for model in others}
    for title, model in models.items():
        documented = [(name, left_out == "required") for name, _, left_out in SECTIONS[title]]
        assert documented == fields(model), title


def test_the_document_has_the_default_of_each_field() -> None:
    for kind in RECORD_KINDS:
        for name, _, left_out in SECTIONS[f"`{kind.name}`"]:
            if left_out != "required":
                field = kind.model.model_fields[name]
                default = field.get_default(call_default_factory=True)
                written = json.loads(left_out.strip("`"))
                assert (str(default) if isinstance(written, str) else default) in (
                    written,
                    tuple(written) if isinstance(written, list) else written,
                )


def test_the_example_is_valid() -> None:
    example = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example is not None
    full = re.sub(r'"(\w{4})…"', r'"\1cafe-0000-4000-8000-000000000000"', example[1])
    assert len([record_adapter.validate_json(line) for line in full.splitlines()]) == 3


def _metadata(field: FieldInfo) -> Sequence[Any]:
    """Return the limits of a field, also of one that may be null."""
    of_value = [
        limit
        for choice in get_args(field.annotation)
        for beside in getattr(choice, "__metadata__", ())
        for limit in getattr(beside, "metadata", ())
    ]
    return [*field.metadata, *of_value]


def test_records_are_as_long_and_as_precise_as_their_columns() -> None:
    for kind in RECORD_KINDS:
        schema = kind.model.model_json_schema(mode="validation")["properties"]
        for column in kind.columns:
            length = getattr(column.type, "length", None)
            if length is not None:
                assert schema[column.name]["maxLength"] == length, column
            if isinstance(column.type, Numeric):
                metadata = _metadata(kind.model.model_fields[column.name])
                limits = {
                    name: getattr(each, name, None)
                    for each in metadata
                    for name in ("max_digits", "decimal_places")
                    if getattr(each, name, None) is not None
                }
                if column.type.precision is None:  # as precise as the currency is, or as a tax
                    digits, places = (5, 2) if column.name == "tax_percent" else (30, 4)
                    assert limits == {"max_digits": digits, "decimal_places": places}, column
                    continue
                assert limits == {
                    "max_digits": column.type.precision,
                    "decimal_places": column.type.scale,
                }, column
