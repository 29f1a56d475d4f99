"""A PostgreSQL that follows another one, as its hot standby, until it is promoted."""

import shutil
from pathlib import Path
from typing import Final

from app.local.embedded.postgresql import EmbeddedPostgresql

STANDBY_NAME: Final = "standby"
"""The application name of the standby, for `synchronous_standby_names`."""


class CopiedPostgresql(EmbeddedPostgresql):
    """A PostgreSQL with a TCP port, whose data are copied from one that is stopped."""

    def __init__(self, data_dir: Path, template: EmbeddedPostgresql) -> None:
        super().__init__(data_dir, port=0)
        self._template = template

    def prepare(self) -> None:
        """Copy the data before the first start."""
        if not self.data.exists():
            shutil.copytree(self._template.data, self.data, symlinks=True)
            self.change_copy()
            for path in (self.data, *self.data.rglob("*")):
                self.chown_to_account(path)
        super().prepare()

    def change_copy(self) -> None:
        """Change the copied data before the first start."""


class Standby(CopiedPostgresql):
    """A hot standby of a PostgreSQL with a TCP port, which is stopped when its data are copied."""

    def __init__(
        self,
        data_dir: Path,
        primary: EmbeddedPostgresql,
        template: EmbeddedPostgresql | None = None,
    ) -> None:
        super().__init__(data_dir, template or primary)
        self._primary = primary

    def change_copy(self) -> None:
        """Let the server start as a standby."""
        (self.data / "standby.signal").touch()

    def command(self, directory: str) -> list[str]:
        """Return the server's program and arguments, and whom it follows."""
        follows = (
            f"host=127.0.0.1 port={self._primary.port} user=postgres"
            f" application_name={STANDBY_NAME}"
        )
        return [*super().command(directory), "-c", f"primary_conninfo={follows}"]


def url_of_both(first: EmbeddedPostgresql, second: EmbeddedPostgresql, wanted: str) -> str:
    """Return one address of two servers; `wanted` is libpq's `target_session_attrs`."""
    hosts = ",".join(f"127.0.0.1:{server.port}" for server in (first, second))
    return f"postgresql://postgres@{hosts}/postgres?target_session_attrs={wanted}"
