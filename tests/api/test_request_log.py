"""What is counted and logged of each request."""

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
