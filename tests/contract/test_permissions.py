"""Every operation, as every kind of caller: the table of docs/permissions.md."""

import re

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from app.settings import Settings
from tests.support.factories import Factories
from tests.support.paths import ROOT
from tests.support.world import RECORDS_IN_PATHS, World, make_world

_DOCUMENT = ROOT / "docs" / "permissions.md"
_OPERATION = re.compile(r"`((?:[A-Z]+, )*[A-Z]+) (/\S*)`")
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_QUERIES = {
    "/api/financial-reports/": "customer_uuid={customer}",
    "/api/invoice-items/costs/": "project_uuid={project}",
    "/api/invoice-items/customer_costs_for_period/": "customer_uuid={customer}",
    "/api/invoice-items/project_costs_for_period/": "project_uuid={project}",
    "/api/invoices/{uuid}/history/at/": "timestamp=2999-01-01T00:00:00Z",
}
"""The parameters that an operation needs to find a record."""

_BODIES = {"/api/project-credits/": {"project": "/api/projects/{other project}/", "value": "1"}}
"""The bodies that name the record by which a caller is judged."""

Operation = tuple[str, str]
"""Method and path."""


def documented() -> dict[Operation, dict[str, str]]:
    """Return the answer to each caller, by operation."""
    found: dict[Operation, dict[str, str]] = {}
    callers: list[str] = []
    for line in _DOCUMENT.read_text().splitlines():
        if not line.startswith("|"):
            continue
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        matched = _OPERATION.fullmatch(first)
        if first == "operation":
            callers = cells
        elif matched:
            for method in matched[1].split(", "):
                assert (method, matched[2]) not in found, f"two rows of {method} {matched[2]}"
                found[method, matched[2]] = dict(zip(callers, cells, strict=True))
    return found


def operations(app: FastAPI) -> set[Operation]:
    """Return the operations of the routes, but OPTIONS."""
    return {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ("GET", "HEAD")
        if method in _METHODS and route.path is not None and not route.path.startswith("/api/docs")
    }


def target_of(path: str, world: World) -> str:
    """Return the path and query of a request for the records."""
    target, query = path, _QUERIES.get(path, "")
    if "{" in path:
        target = re.sub(
            r"\{\w+\}", str(world.records[RECORDS_IN_PATHS[path.split("/")[2]]].uuid), path
        )
    uuids = {name: record.uuid for name, record in world.records.items()}
    return f"{target}?{query.format(**uuids)}" if query else target


def body_of(path: str, world: World) -> dict[str, str]:
    """Return the body of a request: empty unless it must name a record."""
    uuids = {name: record.uuid for name, record in world.records.items()}
    return {name: value.format(**uuids) for name, value in _BODIES.get(path, {}).items()}


def answer_of(response: httpx.Response) -> str:
    """Return the word of the table: a refusal, `none` for an empty list, else `yes`."""
    if response.status_code in (401, 403, 404):
        return str(response.status_code)
    assert response.status_code < 500, (response.request.method, response.url, response.text)
    assert response.status_code != 405
    is_empty = response.headers.get("x-result-count") == "0" or response.content == b"[]"
    return "none" if is_empty else "yes"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with every operation, and without rate limits."""
    limits: dict[str, bool | None] = {
        f"rate_limit_{name}": None for name in ("token", "address", "failed_logins")
    }
    return settings.model_copy(update=limits | {"customer_affiliates": True})


async def add_proof_and_version(client: httpx.AsyncClient, world: World) -> None:
    """Give the payment a proof, and the invoice a change in its history."""
    payment, invoice = world.records["payment"].uuid, world.records["invoice"].uuid
    headers = world.staff.headers
    proof = {"proof": ("proof.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")}
    response = await client.patch(f"/api/payments/{payment}/", files=proof, headers=headers)
    assert response.status_code == 200, response.text
    response = await client.post(
        f"/api/invoices/{invoice}/set_backend_id/", json={"backend_id": "b"}, headers=headers
    )
    assert response.status_code == 200, response.text


async def answers(
    client: httpx.AsyncClient, make: Factories, wanted: set[Operation]
) -> list[tuple[Operation, dict[str, str]]]:
    """Request each operation as each caller, with the smallest body."""
    world = await make_world(make)
    await add_proof_and_version(client, world)
    found = []
    for method, path in sorted(wanted, key=lambda each: (each[1], each[0])):
        answers: dict[str, str] = {}
        for caller in world.callers:
            user = world.callers[caller]
            response = await client.request(
                method,
                target_of(path, world),
                headers=user.headers if user else {},
                json=body_of(path, world) if method in ("PATCH", "POST", "PUT") else None,
            )
            answers[caller] = answer_of(response)
            if response.status_code == 204:
                world = await make_world(make)
                await add_proof_and_version(client, world)
        found.append(((method, path), answers))
    return found


async def test_every_operation_admits_the_documented_callers(
    app: FastAPI, client: httpx.AsyncClient, make: Factories
) -> None:
    wanted = documented()
    assert operations(app) == wanted.keys(), f"see {_DOCUMENT.name}"
    differences = [
        f"{' '.join(operation)}: {caller} gets {answer}, not {wanted[operation][caller]}"
        for operation, given in await answers(client, make, operations(app))
        for caller, answer in given.items()
        if answer != wanted[operation][caller]
    ]
    assert not differences, "\n".join(differences)
