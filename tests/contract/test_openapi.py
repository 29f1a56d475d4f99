"""The OpenAPI document: the checked-in copy, and the comparison with the documented API."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # comes with schemathesis, without stubs
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.api.permissions import Access, access_of
from app.main import create_app
from app.settings import IssuerDetails, Settings
from tests.contract.documents import shape
from tests.support.factories import Factories

ROOT = Path(__file__).parent.parent.parent
PUBLIC = {
    "/health/live",
    "/health/ready",
    "/health/startup",
    "/api/schema.json",
    "/api/docs",
    "/api/docs/assets",
}
"""Paths without authentication."""
STAFF = {
    "credit",
    "import_usage",
    "paid",
    "send_notification",
    "set_backend_id",
    "set_payment_url",
    "set_reference_number",
}
EMPTY_COUNTS = {"state", "customers_count", "payment_type", "organization_group_uuid"}
"""Parameters whose empty value does not count as absent."""
METHODS = ("get", "head", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def application() -> FastAPI:
    return create_app(Settings(database_url="postgresql:///none", redis_url="unix:///none"))


@pytest.fixture(scope="module")
def document(application: FastAPI) -> dict[str, Any]:
    return application.openapi()


@pytest.fixture(scope="module")
def documented_later(shared: Path) -> dict[str, Any]:
    """The history operations of the newer documentation."""
    loaded: dict[str, Any] = yaml.safe_load(
        (shared / "contract" / "openapi-newer.yaml").read_text()
    )
    paths = {path: item for path, item in loaded["paths"].items() if "/history/" in path}
    for item in paths.values():
        # There, the values of parameters are components; here, they are inline.
        for parameter in item["get"]["parameters"]:
            schema = parameter.get("schema", {})
            if "items" in schema:
                schema["items"] = resolved(loaded, schema["items"])
    return loaded | {"paths": paths}


@pytest.fixture(scope="module")
def documented(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(
        (shared / "contract" / "openapi-billing.yaml").read_text()
    )
    # A newer release of the documented API has one more state.
    states = ["pending", "created", "paid", "canceled"]
    for enum in find_enums(loaded):
        if sorted(enum) == sorted(states):
            enum.insert(1, "pending_finalization")
    return loaded


def find_enums(node: Any) -> Iterator[list[str]]:
    """Yield the lists of allowed values in a document."""
    if isinstance(node, dict) and isinstance(node.get("enum"), list):
        yield node["enum"]
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from find_enums(child)


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS and path.startswith("/api/")
    }


def test_the_checked_in_document_is_current(document: dict[str, Any]) -> None:
    """`make openapi` writes the file, so that a review shows changes of the API."""
    assert json.loads((ROOT / "openapi.json").read_text()) == document


def test_every_route_declares_its_access(application: FastAPI) -> None:
    found = {}
    for route in iter_route_contexts(application.routes):
        if route.path is None:
            continue  # It refuses methods.
        dependant = getattr(route, "dependant", None)
        access = access_of(dependant) if dependant else None
        assert (access is None) == (route.path in PUBLIC), route.path
        if route.path and route.path.startswith("/api/invoices/"):
            found[route.path.strip("/").rsplit("/", 1)[-1]] = access
    assert {name for name, access in found.items() if access is Access.STAFF} == STAFF
    of_both = {name for name, access in found.items() if access is Access.STAFF_OR_SUPPORT}
    assert of_both == {"history", "at"}


def test_every_error_is_documented(document: dict[str, Any]) -> None:
    assert "422" not in json.dumps(document)
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for name, operation in operations(document).items():
        responses = operation["responses"]
        assert {"400", "401", "429", "500", "503"} <= set(responses), name
        assert "404" in responses or "{" not in name, name
        assert {"Retry-After", "RateLimit", "RateLimit-Policy"} == set(responses["429"]["headers"])
        assert operation["security"] == [{"tokenAuth": []}, {"bearerAuth": []}], name
        assert operation["summary"], name
        for status, response in responses.items():
            assert response["description"], (name, status)
            if not name.startswith("head") and status not in ("200", "201", "202", "204", "304"):
                assert response["content"]["application/json"]["schema"], (name, status)
        if name.split("/")[-2] in {*STAFF, "history", "at"}:
            assert "403" in responses


def test_every_reference_has_a_target(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    named = {
        part.split('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]
    }
    assert named <= set(schemas)


def test_every_parameter_has_a_description_and_a_type(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
            assert parameter["schema"].get("type"), (name, parameter["name"])


def test_the_orders_of_items_are_documented(document: dict[str, Any]) -> None:
    items = operations(document)["get /api/invoices/{uuid}/items/"]
    (order,) = (each for each in items["parameters"] if each["name"] == "o")
    assert set(order["schema"]["enum"]) > WEB_ORDERS


def test_an_empty_value_is_allowed_if_it_counts_as_absent(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and not parameter["required"]:
                is_absent = parameter["name"] not in EMPTY_COUNTS
                assert parameter.get("allowEmptyValue", False) is is_absent, name


def test_optional_parameters_have_neither_example_nor_default(document: dict[str, Any]) -> None:
    """The documentation page would send them, as a filter or as the same key for every request."""
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", []):
            if not parameter["required"]:
                keys = parameter.keys() | parameter["schema"].keys()
                assert not keys & {"example", "examples", "default"}, (name, parameter["name"])


def test_only_the_multipart_body_has_a_proof(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    content = document["paths"]["/api/invoices/{uuid}/paid/"]["post"]["requestBody"]["content"]
    with_proof = {
        media_type
        for media_type, body in content.items()
        if "proof" in schemas[body["schema"]["$ref"].rpartition("/")[2]]["properties"]
    }
    assert len(content) == 3
    assert with_proof == {"multipart/form-data"}


async def test_required_fields_are_in_every_response(
    document: dict[str, Any], make: Factories, client: httpx.AsyncClient
) -> None:
    """Compared with a minimal invoice and item. Sparse invoices have their own schema."""
    schemas = document["components"]["schemas"]
    staff = await make.staff()
    pending = await make.invoice(await make.customer())
    await make.item(pending, quantity=Decimal("1.5"), measured_unit="")
    path = f"/api/invoices/{pending.uuid}/"
    invoice = (await client.get(path, headers=staff.headers)).json()
    assert schemas["Invoice"]["required"] == list(invoice)
    (item,) = invoice["items"]
    assert schemas["InvoiceItem"]["required"] == list(item)
    assert schemas["CustomerDetails"]["required"] == list(invoice["customer_details"])
    assert schemas["IssuerDetails"]["required"] == list(invoice["issuer_details"])
    assert "required" not in schemas["SparseInvoice"]
    assert schemas["SparseInvoice"]["properties"].keys() == schemas["Invoice"]["properties"].keys()


def test_every_operation_documents_impersonation(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        (header,) = (p for p in operation["parameters"] if p["name"] == "X-Impersonated-User-Uuid")
        assert (header["in"], header["required"]) == ("header", False), name


def test_lists_document_their_headers(document: dict[str, Any]) -> None:
    for name in ("get /api/invoices/", "head /api/invoices/", "get /api/invoices/{uuid}/stats/",
                 "get /api/invoices/{uuid}/history/"):  # fmt: skip
        headers = operations(document)[name]["responses"]["200"]["headers"]
        assert {"X-Result-Count", "Link"} <= set(headers)


# Parameters of other Waldur releases or of other operations, and headers of this service.
ADDED = {
    "accounting_is_running",
    "min_sum",
    "max_sum",
    "If-None-Match",
    "If-Match",
    "Idempotency-Key",
    "X-Impersonated-User-Uuid",
}


WEB_ORDERS = {
    sign + name
    for name in ("offering_name", "plan_name", "service_provider_name")
    for sign in ("", "-")
}
"""Undocumented orders of items that Waldur's web interface sends."""


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    for part in node["$ref"].removeprefix("#/").split("/"):
        document = document[part]
    return document


@pytest.mark.parametrize("which", ["documented", "documented_later"])
def test_operations_and_parameters_have_the_documented_shape(
    document: dict[str, Any], which: str, request: pytest.FixtureRequest
) -> None:
    documented = request.getfixturevalue(which)
    ours = operations(document)
    for name, operation in operations(documented).items():
        if " /api/invoices/" not in name:  # a newer document has the other groups
            continue
        own = ours[name]
        assert own["operationId"] == operation["operationId"]
        assert own["tags"] == operation["tags"]
        parameters = {p["name"]: p for p in own.get("parameters", [])}
        listed = [resolved(documented, p) for p in operation.get("parameters", [])]
        names = {parameter["name"] for parameter in listed}
        assert names <= set(parameters) <= names | ADDED, name
        for parameter in listed:
            mine = parameters[parameter["name"]]
            where = (name, parameter["name"])
            for key in ("in", "style", "explode"):
                assert mine.get(key) == parameter.get(key), where
            expected = shape(documented, parameter["schema"])
            got = shape(document, mine["schema"])
            # Our document has additional limits: of pages, UUIDs and the number of customers.
            for key in ("minimum", "maximum", "pattern"):
                if key not in expected:
                    got.pop(key, None)
            if where == ("get /api/invoices/{uuid}/items/", "o"):
                got["enum"] = [word for word in got["enum"] if word not in WEB_ORDERS]
            assert got == expected, where
        bodies = operation.get("requestBody", {}).get("content", {})
        own_bodies = own.get("requestBody", {}).get("content", {})
        assert bodies.items() <= own_bodies.items(), name


def test_versions_have_the_documented_shape(
    document: dict[str, Any], documented_later: dict[str, Any]
) -> None:
    expected = documented_later["components"]["schemas"]["VersionHistory"]
    own = document["components"]["schemas"]["VersionHistory"]
    assert list(own["properties"]) == list(expected["properties"])
    assert sorted(own["required"]) == sorted(expected["required"])
    for field, schema in expected["properties"].items():
        got = shape(document, own["properties"][field])
        assert got == shape(documented_later, schema), field


def test_components_have_the_documented_shape(
    document: dict[str, Any], documented: dict[str, Any]
) -> None:
    theirs, ours = documented["components"]["schemas"], document["components"]["schemas"]
    names = {"Invoice", "InvoiceGrowth", "InvoiceStatsOffering", "PaidRequest", "PaidRequestForm",
             "PaidRequestMultipart", "BackendIdRequest", "PaymentURLRequest",
             "ReferenceNumberRequest"}  # fmt: skip
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        expected, own = theirs[name], ours[name]
        names |= {
            part.split('"')[0] for part in json.dumps(expected).split('"#/components/schemas/')[1:]
        }
        assert own["type"] == expected["type"], name
        if "enum" in expected:
            assert own["enum"] == expected["enum"], name
            continue
        fields = expected["properties"]
        if name in ("PaidRequest", "PaidRequestForm"):
            fields.pop("proof")  # only a multipart body can have a file
        assert list(own["properties"]) == list(fields), name
        # The documentation does not mark all fields that every response has.
        assert set(expected.get("required", [])) <= set(own.get("required", [])), name
        for field, schema in fields.items():
            got = shape(document, own["properties"][field])
            if field == "issuer_details":  # has further keys here
                got["$ref"] = got["$ref"].replace("Issuer", "Customer")
            assert got == shape(documented, schema), (name, field)
    assert {"InvoiceItem", "InvoiceItemDetails", "ResourceLimitPeriod", "CustomerDetails",
            "InvoiceGrowthCustomerPeriod", "InvoiceStateEnum", "BillingUnit"} <= seen  # fmt: skip


def test_the_issuer_has_the_keys_of_the_setting_and_first_those_of_a_customer(
    document: dict[str, Any],
) -> None:
    schemas = document["components"]["schemas"]
    customer, issuer = schemas["CustomerDetails"], schemas["IssuerDetails"]
    assert list(issuer["properties"]) == list(IssuerDetails.model_fields)
    assert issuer["required"] == customer["required"] == list(issuer["properties"])[:10]
