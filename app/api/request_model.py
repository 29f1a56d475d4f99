"""Request bodies as typed models, whose errors have the shapes of Django REST framework.

A model declares its fields by `app.api.body_fields` and `app.api.body_links`, lists as `list[...]`,
nested objects as other models, and rules between fields as Pydantic's model validators that raise
`FieldError`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, ClassVar, Final, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from app.api.errors import REQUIRED, InvalidFields
from app.api.multipart import FilePart, FileReceiver
from app.api.request_body import RequestBody
from app.api.schema_config import DOCUMENTED

NULL: Final = "This field may not be null."
_ABSENT: Final = object()
NON_FIELD: Final = "non_field_errors"
_LIST_ERRORS: Final = {
    "list_type": 'Expected a list of items but got type "{kind}".',
    "too_short": "This list may not be empty.",
    "too_long": "Ensure this field has no more than {max_length} elements.",
}
OPTIONAL: Any = Field(default_factory=lambda: _ABSENT)
"""The default of a field that may be absent: `RequestModel.values` leaves it out."""


class FieldError(ValueError):
    """The errors of one field."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = list(messages)


@dataclass(frozen=True, slots=True)
class BodyContext:
    """The facts that fields need beside their values."""

    files: FileReceiver | None = None
    """Received the file of the body."""
    decimals: int = 2
    """Of the currency."""


@dataclass(frozen=True, slots=True)
class BodyField(ABC):
    """One kind of field."""

    null_texts: ClassVar[frozenset[str]] = frozenset()
    """Texts that stand for null."""

    @property
    def takes_empty(self) -> bool:
        """Whether an empty text is a value."""
        return False

    @abstractmethod
    def parse(self, value: Any, context: BodyContext) -> Any:
        """Return the value of the field, which is not null; raises `FieldError`."""

    @abstractmethod
    def schema(self) -> dict[str, Any] | type:
        """Return the JSON schema of a value that is not null, or the type that documents it."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema by which Pydantic calls `parse`."""
        nullable = NoneType in get_args(source)

        def validate(value: Any, info: core_schema.ValidationInfo[BodyContext]) -> Any:
            if value is None or (isinstance(value, str) and value in self.null_texts):
                if nullable:
                    return None
                raise FieldError(NULL)
            return self.parse(value, info.context)

        schema = self.schema()
        return core_schema.with_info_plain_validator_function(
            validate,
            metadata={"nullable": nullable},
            json_schema_input_schema=(
                None if isinstance(schema, dict) else handler.generate_schema(schema)
            ),
        )

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON schema of the field."""
        own = self.schema()
        schema = own if isinstance(own, dict) else handler(core)
        if core.get("metadata", {}).get("nullable"):
            return {"anyOf": [schema, {"type": "null"}]}
        return schema


class RequestModel(BaseModel):
    """The body of a request, documented by the docstrings of its fields."""

    model_config = ConfigDict(**DOCUMENTED, frozen=True)
    required_fields: ClassVar[frozenset[str]] = frozenset()
    """The fields in which a form's empty text is not the same as none."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_kwargs: Any) -> None:
        """Note the required fields."""
        cls.required_fields = frozenset(
            name for name, field in cls.model_fields.items() if field.is_required()
        )

    def values(self) -> dict[str, Any]:
        """Return the fields that were sent or have a default, by name."""
        return {name: value for name, value in self if value is not _ABSENT}


Model = TypeVar("Model", bound=RequestModel)


def partial_model(model: type[Model]) -> type[Model]:
    """Return the model `Patched…` of a PATCH request, in which every field may be absent.

    Only `values` of its instances is of use.
    """
    fields: dict[str, Any] = {
        name: (
            Annotated[field.annotation, *field.metadata],
            Field(default_factory=lambda: _ABSENT, description=field.description),
        )
        for name, field in model.model_fields.items()
    }
    patched = create_model(
        f"Patched{model.__name__}", __base__=model, __doc__=model.__doc__, **fields
    )
    patched.required_fields = model.required_fields
    return patched


def validate_body(model: type[Model], body: RequestBody, context: BodyContext) -> Model:
    """Return the validated body. Raises `InvalidFields` with the errors of all fields."""
    data = body.fields
    if body.from_form and "" in data.values():
        data = _without_empty_texts(model, data)
    errors: dict[str, Any] = {
        # A file in another field would be lost without a notice.
        name: [_file_error(context)]
        for name, value in data.items()
        if isinstance(value, FilePart) and name not in model.model_fields
    }
    try:
        valid = model.model_validate(data, context=context)
    except ValidationError as error:
        errors |= _errors_by_field(model, data, error.errors(include_url=False))
    if errors:
        raise InvalidFields(errors)
    return valid


def _file_error(context: BodyContext) -> str:
    if context.files is None:
        return "This operation takes no files."
    return f"A file can be submitted in the field {context.files.field} only."


def _without_empty_texts(model: type[RequestModel], data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a form, where an empty text may stand for null or for no value."""
    fields: dict[str, Any] = {}
    for name, value in data.items():
        field = model.model_fields.get(name)
        if value != "" or field is None:
            fields[name] = value
            continue
        takes_empty = any(
            isinstance(kind, BodyField) and kind.takes_empty for kind in field.metadata
        )
        if takes_empty or name in model.required_fields:
            fields[name] = value
        elif type(None) in get_args(field.annotation):
            fields[name] = None
    return fields


def _errors_by_field(
    model: type[RequestModel], data: dict[str, Any], errors: list[ErrorDetails]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for error in errors:
        loc = error["loc"] or (NON_FIELD,)
        name = str(loc[0])
        messages: Any = _messages(error)
        item = _item_model(model, name)
        if error["type"] in ("list_type", "too_short") and item and error["input"] is not None:
            messages = {NON_FIELD: messages}
        match loc:
            case (_,):
                found.setdefault(name, messages)
            case (_, int(index)):
                if item and error["type"] == "value_error":
                    messages = {NON_FIELD: messages}
                found.setdefault(name, {})[index] = messages
            case (_, int(index), field):
                found.setdefault(name, {}).setdefault(index, {})[str(field)] = messages
            case (_, field):
                found.setdefault(name, {})[str(field)] = messages
    for name, by_index in found.items():
        if isinstance(by_index, dict) and all(isinstance(key, int) for key in by_index):
            if _item_model(model, name):
                found[name] = [by_index.get(index, {}) for index in range(len(data[name]))]
            else:
                found[name] = {str(index): messages for index, messages in by_index.items()}
    return found


def _item_model(model: type[RequestModel], name: str) -> type[RequestModel] | None:
    """Return the model of the items of a list field, if they are objects."""
    field = model.model_fields.get(name)
    if field is None or get_origin(field.annotation) is not list:
        return None
    (item,) = get_args(field.annotation)
    return item if isinstance(item, type) and issubclass(item, RequestModel) else None


def _messages(error: ErrorDetails) -> Any:
    kind = type(error["input"]).__name__
    match error["type"]:
        case "missing":
            return [REQUIRED]
        case "value_error":
            cause = error["ctx"]["error"]
            return cause.messages if isinstance(cause, FieldError) else [str(cause)]
        case _ if error["input"] is None:
            return [NULL]
        case "model_type":
            return {NON_FIELD: [f"Invalid data. Expected a dictionary, but got {kind}."]}
        case _:
            return [_LIST_ERRORS[error["type"]].format(kind=kind, **error.get("ctx", {}))]
