"""A hot standby of an embedded PostgreSQL, to try reads from replicas."""

import os
from pathlib import Path

from app.local.embedded.postgresql import EmbeddedPostgresql
from app.local.embedded.server import ServerError


class EmbeddedStandby(EmbeddedPostgresql):
    """A PostgreSQL that follows a running one, whose data pg_basebackup copies at the first start.

    The other one has a TCP port, and is durable.
    """

    def __init__(self, data_dir: Path, primary: EmbeddedPostgresql) -> None:
        super().__init__(data_dir, port=0)
        self._primary = primary

    def _create_cluster(self) -> None:
        self.make_private_directory(self.data)
        backup = self._program("pg_basebackup")
        options = [
            *("--host=127.0.0.1", f"--port={self._primary.port}", "--username=postgres"),
            *("--checkpoint=fast", "--write-recovery-conf", "--no-sync"),
        ]
        log = self.open_log()
        try:
            self.process = self.spawn(
                lambda directory: [backup, f"--pgdata={directory}", *options], self.data, log
            )
            failed = self.process.wait()
        finally:
            os.close(log)
        self.process = None
        if failed:
            raise ServerError(f"PostgreSQL could not copy its data: {self.last_log_error()}")
