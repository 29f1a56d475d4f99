"""The port of metrics, and the metrics that several processes share."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from structlog.testing import capture_logs

from app.metrics import exporter
from app.metrics.exporter import metrics_server
from tests.metrics.scraping import Scrape, scrape
from tests.support.server import free_port

COUNTING = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from app.metrics.requests import OTHER_METHOD, REQUESTS_IN_PROGRESS, request_series
requests, durations = request_series("o", "GET", 200)
for milliseconds in (1, 30, 700):
    requests.inc()
    durations.observe(milliseconds / 1000)
requests, durations = request_series("o", OTHER_METHOD, 0)
requests.inc()
durations.observe(1)
REQUESTS_IN_PROGRESS.inc()
print("counted", flush=True)
sys.stdin.read()
os._exit(1)
"""


def shown() -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("one", "One.", registry=registry).set(1)
    return registry


async def test_a_port_in_use_is_logged_once_and_bound_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exporter, "_RETRY_SECONDS", 0.05)
    with socket.socket() as other, capture_logs() as logged:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with metrics_server("127.0.0.1", port, shown()):
            await asyncio.sleep(0.2)
            assert [line["event"] for line in logged] == ["metrics not shown yet"]
            assert logged[0]["reason"] == "Address already in use"
            other.close()
            assert (await scrape(port)).one("one") == 1
    with socket.socket() as again:  # it is given back
        assert again.connect_ex(("127.0.0.1", port)) != 0


async def test_port_0_serves_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    with capture_logs() as logged, metrics_server("127.0.0.1", 0, shown()):
        exporter.serve_shared_metrics("127.0.0.1", 0)
    assert logged == []


@pytest.mark.usefixtures("child_processes")
def test_counts_of_a_dead_process_stay_and_its_gauges_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call]
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))

    def seen() -> Scrape:
        return Scrape(generate_latest(registry).decode())

    for died in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        for expected_in_progress in (1, 0):
            now = seen()
            done = died + 1
            assert now.one("invoicing_http_requests_total", status="200") == 3 * done
            assert (
                now.one("invoicing_http_requests_total", status="aborted", method="other") == done
            )
            took = {"operation": "o", "method": "GET"}
            name = "invoicing_http_request_duration_seconds"
            assert now.one(f"{name}_count", **took) == 3 * done
            assert now.one(f"{name}_sum", **took) == pytest.approx(0.731 * done)
            assert now.one(f"{name}_bucket", le="0.05", **took) == 2 * done
            in_progress = now.all("invoicing_http_requests_in_progress")
            assert sum(in_progress) == expected_in_progress
            process.communicate()  # it dies without cleaning up
            exporter.drop_gauges_of(process.pid)


async def test_two_servers_do_not_share_a_port() -> None:
    port = free_port()
    with metrics_server("127.0.0.1", port, shown()):
        await scrape(port)
        with capture_logs() as logged, metrics_server("127.0.0.1", port, shown()):
            await asyncio.sleep(0.1)
        assert [line["event"] for line in logged] == ["metrics not shown yet"]
