"""Schemathesis runs every check on every operation, as staff and as a user without access.

`schemathesis.toml` exempts single checks of single operations, and states the reason.
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


async def explore(server: Server, caller: UserRow, uuid: str, options: str, folder: Path) -> None:
    """Run Schemathesis on every operation; `uuid` is an existing invoice."""
    config = folder / "schemathesis.toml"
    parameters = {"path.uuid": uuid, "header.X-Impersonated-User-Uuid": caller.uuid}
    lines = [f'"{name}" = "{value}"' for name, value in parameters.items()]
    config.write_text("\n".join([CONFIG.read_text(), "[parameters]", *lines, ""]))
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            "run",
            f"{server.url}/api/schema.json",
            *("--header", f"Authorization: Token {caller.key}", *options.split()),
            *("--seed", "1", "--continue-on-failure", "--warnings", "off"),
        ],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("role", "options"),
    [
        ("staff", "--max-examples 6"),
        # Gets 401, 403 and 404 almost everywhere, whatever the values of the coverage phase.
        ("stranger", "--max-examples 3 --phases examples,fuzzing"),
        pytest.param("staff", "--max-examples 150", marks=pytest.mark.slow),
        pytest.param("stranger", "--max-examples 150", marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(1600)
async def test_every_operation_conforms_to_its_schema(
    role: str, options: str, make: Factories, server: Server, tmp_path: Path
) -> None:
    sample = await make_sample(make)
    caller = sample.staff if role == "staff" else sample.stranger
    await explore(server, caller, str(sample.created.uuid), options, tmp_path)
