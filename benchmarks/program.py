"""One run from start to end: servers up, databases made, phase after phase, servers down."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app import clock
from app.billing.periods import Period
from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.valkey import EmbeddedValkey
from benchmarks import baseline, cold, replication
from benchmarks.builds import check_out
from benchmarks.loading import Databases
from benchmarks.machine import machine
from benchmarks.measuring import Pace
from benchmarks.phases import PHASES, Bench, make
from benchmarks.results import Phase, Result
from benchmarks.servers import Environment

_PHASES: Final = {
    **PHASES,
    Phase.COLD: cold.measure,
    Phase.BASELINE: baseline.measure,
    Phase.REPLICA: replication.measure_replica,
    Phase.PGBOUNCER: replication.measure_pgbouncer,
}


@dataclass(frozen=True)
class Options:
    """The scope of a run."""

    sizes: Sequence[int]
    """Invoices of each database, smallest first."""
    pace: Pace
    phases: Sequence[Phase]
    quick: bool
    beside: str
    """The commit whose build is measured beside this one; "" for none."""
    large: bool
    """Whether the largest bill is imported, too."""
    fresh: bool
    """Whether existing databases are created again."""
    place: Path
    """The folder of databases, logs and results."""


def run_benchmark(options: Options) -> Result:
    """Measure everything that the options name, on the servers of the environment or embedded ones.

    Raises Unusable or ServerError, whose messages say what to do.
    """
    files = options.place / "run"
    shutil.rmtree(files, ignore_errors=True)
    files.mkdir(parents=True)
    with ExitStack() as stack:
        named = os.environ.get("DATABASE_URL")
        database = (
            named or stack.enter_context(EmbeddedPostgresql(options.place / "postgresql")).url
        )
        queue = os.environ.get("REDIS_URL") or (
            stack.enter_context(EmbeddedValkey(options.place / "valkey")).url
        )
        running = Period.containing(clock.now())
        databases = Databases(database, running, own=not named)
        return asyncio.run(_run(options, databases, running, Environment(queue, files)))


async def _run(
    options: Options, databases: Databases, running: Period, environment: Environment
) -> Result:
    await databases.clean(fresh=options.fresh)
    result = Result(
        machine=machine(await databases.server_version()),
        options={
            "phases": options.phases,
            "rounds": options.pace.rounds,
            "seconds": options.pace.seconds,
            "quick": options.quick,
            "beside": options.beside,
        },
        sizes=options.sizes,
    )
    made = await make(databases, environment, options.sizes, result)
    build = check_out(options.beside, options.place / "builds") if options.beside else None
    bench = Bench(
        databases,
        environment,
        made,
        running,
        options.pace,
        options.quick,
        result,
        build,
        options.large,
    )
    for phase in options.phases:
        await _PHASES[phase](bench)
    return result
