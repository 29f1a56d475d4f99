"""The comparison of two OpenAPI documents: ours, and one that describes the same operations."""

from collections.abc import Iterator
from typing import Any

METHODS = ("get", "head", "post", "put", "patch", "delete")
_KEYS = ("type", "format", "enum", "pattern", "maxLength", "minimum", "maximum", "$ref")
"""The keys of a schema that shape the clients generated from it."""

Document = dict[str, Any]
Operations = dict[str, dict[str, Any]]


def operations_of(document: Document) -> Operations:
    """Return the operations by their ids."""
    return {
        operation["operationId"]: operation | {"place": f"{method.upper()} {path}"}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS and path.startswith("/api/")
    }


def shape(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    """Reduce a schema to the keys that shape clients, alike for OpenAPI 3.0 and 3.1."""
    if "allOf" in schema:
        schema = schema["allOf"][0]
    nullable = schema.get("nullable", False)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            nullable = nullable or {"type": "null"} in schema[key]
            empty = {"type": "string", "maxLength": 0}  # a field without a value
            parts = [part for part in schema[key] if part not in ({"type": "null"}, empty)]
            schema = parts[0] if len(parts) == 1 else {"type": "any of several"}
    if _is_enum(document, schema):
        schema = schema if "enum" in schema else _target(document, schema)
        schema = {"type": schema["type"], "enum": sorted(schema["enum"])}
    reduced = {key: schema[key] for key in _KEYS if key in schema} | {"nullable": nullable}
    if "items" in schema:
        reduced["items"] = shape(document, schema["items"])
    return reduced


def _target(document: Document, schema: dict[str, Any]) -> dict[str, Any]:
    target: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return target


def _is_enum(document: Document, schema: dict[str, Any]) -> bool:
    return "enum" in schema or ("$ref" in schema and "enum" in _target(document, schema))


def compare_operation(
    own: Document, mine: dict[str, Any], other: Document, theirs: dict[str, Any]
) -> Iterator[str]:
    """Yield each difference of an operation, one line each."""
    name = theirs["operationId"]
    for key in ("place", "tags"):
        yield from _compare(f"{name} {key}", mine[key], theirs[key])
    parameters = {each["name"]: each for each in mine.get("parameters", [])}
    documented = {each["name"]: each for each in theirs.get("parameters", [])}
    yield from _compare_names(f"{name}?", parameters, documented)
    for key in documented.keys() & parameters.keys():
        yield from _compare_parameter(f"{name}?{key}", own, parameters[key], other, documented[key])
    bodies = _contents(mine.get("requestBody", {}))
    for media_type, schema in _contents(theirs.get("requestBody", {})).items():
        yield from _compare(f"{name} body {media_type}", bodies.get(media_type), schema)
    for status, response in theirs["responses"].items():
        if status not in mine["responses"]:
            yield f"{name}: has no {status}"
        elif theirs["place"].startswith("HEAD"):
            continue
        else:
            contents = _contents(mine["responses"][status])
            for media_type, schema in _contents(response).items():
                where = f"{name} {status}"
                yield from _compare(where, contents.get(media_type), schema)


def _contents(body: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of each media type, by name or as list of a name."""
    return {key: _reference(each["schema"]) for key, each in body.get("content", {}).items()}


def _reference(schema: dict[str, Any]) -> str:
    if "items" in schema:
        return f"[{_reference(schema['items'])}]"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(_reference(each) for each in schema[key])
    return str(schema.get("$ref", schema.get("type", "any"))).rpartition("/")[2]


def _compare_parameter(
    where: str, own: Document, mine: dict[str, Any], other: Document, theirs: dict[str, Any]
) -> Iterator[str]:
    for key in ("in", "style", "explode"):
        yield from _compare(f"{where} {key}", mine.get(key), theirs.get(key))
    yield from _compare(f"{where} required", mine["required"], theirs.get("required", False))
    got, expected = shape(own, mine["schema"]), shape(other, theirs["schema"])
    # Our document has additional limits: of pages, UUIDs and the number of customers.
    for key in ("minimum", "maximum", "pattern"):
        if key not in expected:
            got.pop(key, None)
    yield from _compare(where, got, expected)


def compare_component(own: Document, other: Document, name: str) -> Iterator[str]:
    """Yield each difference of a component, one line each."""
    theirs, mine = other["components"]["schemas"][name], own["components"]["schemas"].get(name)
    if mine is None:
        yield f"{name}: is missing"
        return
    if "enum" in theirs:
        yield from _compare(name, sorted(mine["enum"]), sorted(theirs["enum"]))
        return
    fields, documented = mine.get("properties", {}), theirs.get("properties", {})
    yield from _compare_names(f"{name}.", fields, documented)
    common = [field for field in documented if field in fields]
    yield from _compare(f"{name} order", [field for field in fields if field in documented], common)
    if missing := set(theirs.get("required", ())) - set(mine.get("required", ())):
        yield f"{name} required: lacks {sorted(missing)}"
    for field in common:
        got, expected = shape(own, fields[field]), shape(other, documented[field])
        yield from _compare(f"{name}.{field}", got, expected)


def _compare_names(where: str, mine: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    yield from (f"{where}{name}: is missing" for name in theirs if name not in mine)
    yield from (f"{where}{name}: is added" for name in mine if name not in theirs)


def _compare(where: str, mine: Any, theirs: Any) -> Iterator[str]:
    if mine != theirs:
        yield f"{where}: is {mine}, not {theirs}"
