"""The fields of every record."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """The fields of every kind."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    kind: str
    uuid: UUID


def kind_of(model: type[Record]) -> str:
    """Return the value of the field `kind` of a model's records."""
    return str(model.model_fields["kind"].default)
