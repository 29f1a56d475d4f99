"""Schemathesis runs every check on every operation, as staff and as a user without access.

`schemathesis.toml` exempts single checks of single operations, and states the reason.
"""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import Settings
from tests.support.factories import Factories, UserRow
from tests.support.server import serve
from tests.support.world import RECORDS_IN_PATHS, World, make_world

CONFIG = Path(__file__).parent / "schemathesis.toml"
QUICK = "--phases examples,fuzzing,stateful --exclude-method HEAD"
"""Leaves out the coverage phase, which sends 8,000 requests, and HEAD, which is handled as GET."""
GROUPS = {
    "invoices": "invoices",
    "items": "(provider-)?invoice-items",
    "credits": "customer-credits|project-credits|credit-transactions",
    "payments": "payments|payment-profiles",
}
"""The paths of the largest groups of operations, after `/api/`."""
EACH = "--max-examples 150 --phases examples,coverage,fuzzing"
PARTS = {
    **{name: f"{EACH} --include-path-regex ^/api/({paths})/" for name, paths in GROUPS.items()},
    "others": f"{EACH} --exclude-path-regex ^/api/({'|'.join(GROUPS.values())})/",
    "sequences": "--max-examples 150 --phases stateful",
}
"""The options of a thorough run, in parts that test processes share. Each takes minutes."""


def configuration(world: World, caller: UserRow) -> str:
    """Return the configuration for existing records."""
    lines = [CONFIG.read_text()]
    for group, record in RECORDS_IN_PATHS.items():
        lines += [
            "[[operations]]",
            f'include-path-regex = "^/api/{group}/"',
            f'parameters = {{ "path.uuid" = "{world.records[record].uuid}" }}',
        ]
    lines += ["[parameters]", f'"header.X-Impersonated-User-Uuid" = "{caller.uuid}"', ""]
    return "\n".join(lines)


async def explore(url: str, world: World, caller: UserRow, options: str, folder: Path) -> None:
    """Run Schemathesis on the operations that the options select."""
    config = folder / "schemathesis.toml"
    config.write_text(configuration(world, caller))
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)),
            "run",
            f"{url}/api/schema.json",
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
        ("staff", f"--max-examples 2 {QUICK}"),
        # A stranger gets 401, 403 and 404 almost everywhere, whatever the values.
        *(
            pytest.param(role, options, marks=pytest.mark.slow, id=f"{role}-{part}")
            for role in ("staff", "stranger")
            for part, options in PARTS.items()
        ),
    ],
)
@pytest.mark.timeout(1600)
async def test_every_operation_conforms_to_its_schema(
    role: str, options: str, make: Factories, settings: Settings, tmp_path: Path
) -> None:
    world = await make_world(make)
    caller = world.callers[role]
    assert caller is not None
    every_group = settings.model_copy(update={"customer_affiliates": True})
    async with serve(every_group) as url:
        await explore(url, world, caller, options, tmp_path)
