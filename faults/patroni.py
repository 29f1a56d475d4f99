"""A cluster of two PostgreSQL servers under Patroni, which keeps its state in etcd."""

import json
import os
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final

import httpx

from app.local.embedded.server import free_port
from faults.cluster import DatabaseCluster, url_of
from faults.programs import find_etcd, find_patroni, find_postgresql_programs
from faults.server_process import ServerProcess, make_folder
from faults.servers import children_of
from tests.support.worker import until

_TTL: Final = 20
"""Seconds until the key of a dead leader expires: the least that Patroni takes."""
_SWITCHOVER_SECONDS: Final = 60.0


class PatroniNode:
    """One server, and the Patroni that runs it."""

    def __init__(self, name: str, place: Path, etcd_port: int) -> None:
        self.name = name
        self.port, api_port = (free_port("127.0.0.1", 0) for _ in range(2))
        folder = make_folder(place / name)
        self._data = folder / "data"
        self.api = f"http://127.0.0.1:{api_port}"
        (folder / "patroni.yml").write_text(json.dumps(self._configuration(folder, etcd_port)))
        self.process = ServerProcess(find_patroni(), ["-m", "patroni", "patroni.yml"], folder)

    async def kill(self) -> None:
        """Kill Patroni and PostgreSQL, as if the machine had lost its power."""
        await self.process.kill()
        self._kill_postgresql()

    async def stop(self) -> None:
        """Stop Patroni, which stops PostgreSQL."""
        await self.process.stop()
        self._kill_postgresql()  # it is left over if Patroni had to be killed

    def _kill_postgresql(self) -> None:
        with suppress(FileNotFoundError, ProcessLookupError):
            main = int((self._data / "postmaster.pid").read_text().split()[0])
            for pid in (main, *children_of(main)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _configuration(self, folder: Path, etcd_port: int) -> dict[str, Any]:
        api = self.api.removeprefix("http://")
        return {
            "scope": "faults",
            "name": self.name,
            "restapi": {"listen": api, "connect_address": api},
            "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": _TTL,
                    "loop_wait": 1,
                    "retry_timeout": 3,
                    "synchronous_mode": True,
                    "primary_start_timeout": 0,
                    "postgresql": {"use_pg_rewind": True},
                },
                "initdb": [
                    {"encoding": "UTF8"},
                    {"locale": "C"},
                    {"locale-provider": "builtin"},
                    {"builtin-locale": "C.UTF-8"},
                ],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self._data),
                "bin_dir": str(find_postgresql_programs()),
                "pgpass": str(folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres"},
                    "replication": {"username": "replicator"},
                },
                "parameters": {"unix_socket_directories": str(folder), "timezone": "UTC"},
                "pg_hba": [
                    "local all all trust",
                    "host all all 127.0.0.1/32 trust",
                    "host replication all 127.0.0.1/32 trust",
                ],
            },
        }


class PatroniCluster(DatabaseCluster):
    """A leader and a synchronous standby."""

    async def set_up(self, opening: AsyncExitStack) -> None:
        """Start etcd and both servers, and wait until the second follows synchronously."""
        client_port, peer_port = (free_port("127.0.0.1", 0) for _ in range(2))
        peers = f"http://127.0.0.1:{peer_port}"
        clients = f"http://127.0.0.1:{client_port}"
        options = {
            "data-dir": "data",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"default={peers}",
        }
        etcd = ServerProcess(
            find_etcd(),
            [f"--{name}={value}" for name, value in options.items()],
            make_folder(self.place / "etcd"),
        )
        opening.push_async_callback(etcd.stop)
        await etcd.start()
        await _wait_for(f"{clients}/health", etcd)
        self.nodes = [PatroniNode(name, self.place, client_port) for name in ("first", "second")]
        for node, path in zip(self.nodes, ("leader", "synchronous"), strict=True):
            opening.push_async_callback(node.stop)
            await node.process.start()
            await _wait_for(f"{node.api}/{path}", node.process)

    @property
    def service_url(self) -> str:
        """The URL of both servers."""
        return url_of(*(node.port for node in self.nodes))

    @property
    def primary_url(self) -> str:
        """The URL of both servers."""
        return self.service_url

    @property
    def probe_urls(self) -> Sequence[str]:
        """The URL of each server."""
        return [url_of(node.port) for node in self.nodes]

    async def switch_over(self) -> None:
        """Have Patroni make the second server the leader."""
        leader, candidate = self.nodes
        request = {"leader": leader.name, "candidate": candidate.name}
        async with httpx.AsyncClient(timeout=_SWITCHOVER_SECONDS) as client:
            answer = await client.post(f"{leader.api}/switchover", json=request)
        assert answer.status_code == 200, answer.text

    async def kill_leader(self) -> None:
        """Kill the leader for good."""
        await self.nodes[0].kill()


async def _wait_for(url: str, server: ServerProcess) -> None:
    """Wait until a server answers with 200; raises RuntimeError if its process has ended."""

    async def is_ready() -> bool:
        server.check()
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(url)).status_code == 200
        except httpx.TransportError:
            return False

    await until(is_ready)
