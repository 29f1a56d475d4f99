"""The metrics and the log of each request."""

import httpx
from prometheus_client import REGISTRY

from app.metrics.requests import OTHER_METHOD


def count_of(method: str) -> float:
    labels = {"operation": "none", "method": method, "status": "404"}
    return REGISTRY.get_sample_value("invoicing_http_requests_total", labels) or 0.0


async def test_methods_that_are_not_known_are_counted_as_one(client: httpx.AsyncClient) -> None:
    before = count_of(OTHER_METHOD)
    for method in ("BREW", "STEEP"):
        assert (await client.request(method, "/unknown/")).status_code == 404
    assert count_of(OTHER_METHOD) == before + 2
    assert count_of("BREW") == 0


async def test_a_list_and_its_count_are_counted_by_their_own_operations(
    client: httpx.AsyncClient,
) -> None:
    for method, operation in (("GET", "payments_list"), ("HEAD", "payments_count")):
        labels = {"operation": operation, "method": method, "status": "401"}
        name = "invoicing_http_requests_total"
        before = REGISTRY.get_sample_value(name, labels) or 0.0
        await client.request(method, "/api/payments/")
        assert REGISTRY.get_sample_value(name, labels) == before + 1
