"""Serving the API at an address, by one process or several."""

import signal

from uvicorn.config import STARTUP_FAILURE

from app.server.processes import Processes
from app.server.server import Server, configuration
from app.shutdown import Ending


def run(host: str, port: int, processes: int, drain_seconds: float) -> int:
    """Serve until asked to end, by SIGTERM or SIGINT; return the exit code.

    SIGTERM is a deployment's: for `drain_seconds` the service is not ready, but still open, so that
    balancers take it out. SIGINT is a person's, who is not kept waiting.
    """
    config = configuration(host, port)
    if processes > 1:
        return Processes(config, processes, drain_seconds).run()
    ending = Ending()
    server = Server(config, ending)
    ending.on(signal.SIGTERM, lambda: server.end(drain_seconds))
    ending.on(signal.SIGINT, lambda: server.end(0))
    server.run()
    return 0 if server.started else STARTUP_FAILURE
