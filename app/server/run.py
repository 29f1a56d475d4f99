"""Serves the API at an address, with one process or several."""

import signal

from uvicorn.config import STARTUP_FAILURE

from app.server.processes import Processes
from app.server.server import Server, configuration
from app.shutdown import ShutdownSignals


def run(host: str, port: int, processes: int, drain_seconds: float) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    After SIGTERM, which a deployment sends, the service is not ready but still accepts requests for
    `drain_seconds`, so that balancers take it out. After SIGINT, which a person sends, it does not
    wait.
    """
    config = configuration(host, port)
    if processes > 1:
        return Processes(config, processes, drain_seconds).run()
    signals = ShutdownSignals()
    server = Server(config, signals)
    signals.handle(signal.SIGTERM, lambda: server.begin_shutdown(drain_seconds))
    signals.handle(signal.SIGINT, lambda: server.begin_shutdown(0))
    server.run()
    return 0 if server.started else STARTUP_FAILURE
