"""Metrics as Prometheus reads them."""

import asyncio

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


class Scrape:
    """The metrics at one moment."""

    def __init__(self, text: str) -> None:
        self.samples: list[Sample] = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def all(self, name: str, /, **labels: str) -> list[float]:
        """Return the values of all series of a name that have these labels."""
        return [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def one(self, name: str, /, **labels: str) -> float:
        """Return the sum of these values; there must be at least one."""
        found = self.all(name, **labels)
        assert found, (name, labels)
        return sum(found)


async def scrape(port: int) -> Scrape:
    """Scrape a port as soon as it is served."""
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            assert answer.status_code == 200
            return Scrape(answer.text)
