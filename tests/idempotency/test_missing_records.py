"""Changes of records that do not exist, or exist no more, under an idempotency key."""

import re
from uuid import uuid4

import httpx
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from tests.support.factories import Factories


async def test_a_change_of_a_missing_record_is_not_found_under_a_key_too(
    app: FastAPI, client: httpx.AsyncClient, make: Factories
) -> None:
    headers = (await make.staff()).headers
    for route in iter_route_contexts(app.routes):
        for method in {"DELETE", "PATCH", "POST", "PUT"} & set(route.methods or ()):
            for uuid in (str(uuid4()), "malformed"):
                path = re.sub(r"\{\w+\}", uuid, route.path or "")
                if path == route.path:
                    continue
                key = {"Idempotency-Key": uuid4().hex, "If-Match": '"other"'}
                answer = await client.request(method, path, headers=headers | key, json={})
                assert answer.status_code == 404, (method, path, answer.text)


async def test_a_repeated_deletion_gets_the_first_response(
    client: httpx.AsyncClient, make: Factories
) -> None:
    headers = (await make.staff()).headers | {"Idempotency-Key": uuid4().hex}
    customer = await make.customer()
    credit = await make.credit(customer)
    share = await make.project_credit(await make.project(customer), "0")
    for path in (f"project-credits/{share.uuid}", f"customer-credits/{credit.uuid}"):
        headers["Idempotency-Key"] = uuid4().hex
        for replayed in (None, "true"):
            answer = await client.delete(f"/api/{path}/", headers=headers)
            assert answer.status_code == 204
            assert answer.headers.get("idempotent-replayed") == replayed
