"""Schemathesis over the whole schema with every check, as staff and as a stranger.

The exemptions stand in `schemathesis.toml`, each for an operation and a check, with its rule.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.data import make_sample
from tests.support.factories import Factories, UserRow
from tests.support.server import Server

CONFIG = Path(__file__).parent / "schemathesis.toml"


async def explore(server: Server, caller: UserRow, uuid: str, examples: int, place: Path) -> None:
    """Let Schemathesis call every operation; `uuid` is an invoice that is there."""
    config = place / "schemathesis.toml"
    parameters = {"path.uuid": uuid, "header.X-Impersonated-User-Uuid": caller.uuid}
    lines = [f'"{name}" = "{value}"' for name, value in parameters.items()]
    config.write_text("\n".join([CONFIG.read_text(), "[parameters]", *lines, ""]))
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            "run",
            f"{server.url}/api/schema.json",
            *("--header", f"Authorization: Token {caller.key}", "--max-examples", str(examples)),
            *("--seed", "1", "--continue-on-failure", "--warnings", "off"),
        ],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("examples", [10, pytest.param(150, marks=pytest.mark.slow)])
@pytest.mark.parametrize("who", ["staff", "stranger"])
@pytest.mark.timeout(1600)
async def test_every_operation_keeps_its_schema(
    who: str, examples: int, make: Factories, server: Server, tmp_path: Path
) -> None:
    sample = await make_sample(make)
    caller = sample.staff if who == "staff" else sample.stranger
    await explore(server, caller, str(sample.created.uuid), examples, tmp_path)
