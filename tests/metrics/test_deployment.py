"""The processes serve the metrics of the dashboard and the alerts, and keep counts of the dead."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from sqlalchemy.ext.asyncio import AsyncConnection

from app.billing.enums import InvoiceState
from app.settings import Settings
from tests.metrics.scraping import Scrape, scrape
from tests.support.factories import Factories
from tests.support.server import free_port, run_server
from tests.support.worker import open_entries, until, worker_process

pytestmark = pytest.mark.usefixtures("child_processes")

DEPLOY = Path(__file__).parents[2] / "deploy"
DOCS = DEPLOY.parent / "docs"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
PROMTOOL = shutil.which("promtool")
OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to scraped metrics."""


def rules() -> list[dict[str, Any]]:
    (group,) = YAML(typ="safe").load(ALERTS)["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Yield every expression, and the labels that a legend or a summary shows of it."""
    for rule in rules():
        shown = " ".join(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        yield rule["expr"], shown
    for panel in panels():
        for target in panel["targets"]:
            shown = " ".join(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            yield target["expr"], shown


def faults(expression: str, shown: str, scrapes: list[Scrape]) -> Iterator[str]:
    """Yield the metrics and labels of an expression that do not exist."""
    labels: set[str] = set(OF_PROMETHEUS)
    for name, matchers in re.findall(r"\b(invoicing_\w+)(?:\{([^}]*)\})?", expression):
        samples = [s for each in scrapes for s in each.samples if s.name == name]
        if not samples:
            yield f"there is no {name}"
        for label, operator, wanted in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers):
            values = {s.labels[label] for s in samples if label in s.labels}
            if not values:
                yield f"{name} has no label {label}"
            for value in wanted.split("|") if operator != "=~" or "." not in wanted else ():
                if value not in values:
                    yield f"{name} never has {label}={value}"
        labels |= {label for sample in samples for label in sample.labels}
    used = set(shown.split())
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        used |= {label.strip() for label in grouped.split(",") if label.strip()}
    for label in used - labels:
        yield f"nothing in {expression!r} has a label {label}"


def children(pid: int) -> list[int]:
    """Return the processes that serve for a parent, not the tracker of multiprocessing."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()
    ]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks at processes as Linux does")
async def test_processes_serve_every_metric_of_dashboard_and_alerts(
    settings: Settings, make: Factories, connection: AsyncConnection, tmp_path: Path
) -> None:
    customer = await make.customer(email="accounts@example.com")
    invoice = await make.invoice(customer, state=InvoiceState.CREATED)
    staff = await make.staff()
    ports = free_port(), free_port()
    environment = {"DATABASE_URL": settings.database_url.replace("+asyncpg", "")}
    environment |= {"METRICS_PORT": str(ports[0]), "QUEUE_NAME": settings.queue_name}
    environment |= {"DATABASE_POOL_SIZE": "5"}
    asked = 0

    async def ask(client: httpx.AsyncClient, times: int) -> None:
        nonlocal asked
        for _ in range(times):
            # A connection each, so that both processes get some.
            answer = await client.get(
                "/api/invoices/?field=uuid", headers=staff.headers | {"Connection": "close"}
            )
            assert answer.status_code == 200
            asked += 1

    def counted(now: Scrape) -> float:
        return now.one("invoicing_http_requests_total", operation="invoices_list", status="200")

    async with (
        run_server(environment, tmp_path, "--workers", "2") as server,
        worker_process(settings, WORKER_METRICS_PORT=str(ports[1])),
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        await ask(client, 20)
        await client.post(f"/api/invoices/{invoice.uuid}/send_notification/", headers=staff.headers)
        head = await client.head(f"/api/invoices/{invoice.uuid}/", headers=staff.headers)
        assert head.status_code == 200
        for path in ("/metrics", "/metrics/", "/nobody@example.com/"):
            assert (await client.get(path)).status_code == 404
        assert (await client.delete("/api/invoices/")).status_code == 405

        now = await scrape(ports[0])
        assert counted(now) == asked
        assert now.all("invoicing_database_connections_max") == [5, 5]
        assert now.one("invoicing_http_requests_total", operation="none", status="404") == 3
        assert now.one("invoicing_http_requests_total", operation="none", method="DELETE") == 1
        assert now.one("invoicing_http_requests_total", operation="invoices_retrieve") == 1

        # One process dies and is replaced; what it counted stays, and its pool goes.
        died = children(server.process.pid)[0]
        os.kill(died, signal.SIGKILL)

        async def replaced() -> bool:
            serving = children(server.process.pid)
            return died not in serving and len(serving) == 2

        await until(replaced)

        async def two_pools() -> bool:
            shown = (await scrape(ports[0])).all("invoicing_database_connections_max")
            return len(shown) == 2

        await until(two_pools)
        await ask(client, 20)

        async def all_done() -> bool:
            return await open_entries(connection) == 0

        await until(all_done)
        scrapes = [await scrape(port) for port in ports]
        assert counted(scrapes[0]) == asked
        assert scrapes[0].one("invoicing_http_requests_in_progress") == 0
        assert scrapes[1].one("invoicing_delivery_attempts_total", outcome="sent") == 1
        assert scrapes[1].one("invoicing_job_attempts_total", name="deliver", result="done") == 1
        assert scrapes[1].one("invoicing_database_up") == 1
        wrong = [fault for each in expressions() for fault in faults(*each, scrapes)]
        assert not wrong, "\n".join(wrong)
    assert "metrics shown" in server.log.read_text()


def test_each_alert_has_a_severity_and_advice() -> None:
    headings = set(re.findall(r"^## (\w+)$", (DOCS / "alerts.md").read_text(), re.MULTILINE))
    assert {rule["alert"] for rule in rules()} == headings
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["for"]
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_each_panel_has_its_own_place_and_a_description() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert panel["description"]
        place = panel["gridPos"]
        cells = {
            (place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="promtool, of Prometheus, is not installed")
@pytest.mark.parametrize(
    "command", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")]
)
async def test_prometheus_accepts_the_rules(command: tuple[str, ...]) -> None:
    run = await asyncio.to_thread(
        subprocess.run,
        [str(PROMTOOL), *command],
        cwd=ALERTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
