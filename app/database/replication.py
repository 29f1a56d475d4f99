"""The role of a server in PostgreSQL's streaming replication, its lag, and its standbys."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from sqlalchemy import ARRAY, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

SYNCHRONOUS: Final = ("sync", "quorum")
"""The values of `sync_state` of standbys for which a commit waits."""
SYNC_STATES: Final = (*SYNCHRONOUS, "potential", "async")

_read_only_state: Final = text(
    "SELECT current_setting('transaction_read_only')::boolean, pg_is_in_recovery()"
)
_SERVER: Final = text("""
SELECT pg_is_in_recovery() AS is_standby,
       current_setting('server_version') AS version,
       (SELECT system_identifier FROM pg_control_system()) AS system,
       here.position - '0/0' AS position,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() - here.position END
           AS lag_bytes,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) AS lag_seconds,
       current_setting('fsync')::boolean AS fsync,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       receiver.status AS receiver_status,
       coalesce(
           substring(receiver.conninfo FROM '(?:^| )application_name=''?([^ '']+)'),
           substring(receiver.conninfo FROM '(?:^| )fallback_application_name=''?([^ '']+)')
       ) AS name,
       current_user AS role,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_statistics,
       ARRAY(
           SELECT jsonb_build_array(
               application_name, sync_state, here.position - replay_lsn,
               extract(epoch FROM replay_lag)
           )
           FROM pg_stat_replication WHERE state IS NULL OR state IN ('streaming', 'catchup')
       ) AS standbys
FROM (
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END
) AS here (position)
LEFT JOIN pg_stat_wal_receiver AS receiver ON true
""").columns(standbys=ARRAY(JSONB))


@dataclass(frozen=True, slots=True)
class Lag:
    """The distance between what a primary has written and what a standby has replayed."""

    bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Standby:
    """A standby as its primary sees it."""

    name: str
    """Its application name, for `synchronous_standby_names`."""
    sync_state: str
    """One of `SYNC_STATES`."""
    lag: Lag


@dataclass(frozen=True, slots=True)
class Server:
    """A server of a cluster."""

    is_standby: bool
    version: str
    system: int
    """The identifier that a primary and its standbys have in common."""
    position: int
    """Bytes of the log that it has written, or replayed as a standby."""
    fsync: bool
    synchronous_commit: str
    synchronous_standby_names: str
    lag: Lag | None
    """Of a standby: what it has received and has yet to replay. It has no lag of its own while it
    receives nothing; compare positions."""
    receives: bool | None
    """Whether a standby is connected to a primary; None if that is hidden from the role."""
    name: str | None
    """A standby's application name; None if it is hidden from the role."""
    standbys: tuple[Standby, ...]
    """Those that follow this server; none if they are hidden from the role."""
    hidden_standbys: int
    """How many are hidden from the role."""
    role: str
    """The role of the session."""


async def find_server(connection: AsyncConnection) -> Server:
    """Return the role of the connected server, its lag and its standbys.

    A role without the privileges of `pg_read_all_stats`, which `pg_monitor` includes, sees how many
    standbys there are, and no more of them.
    """
    row = (await connection.execute(_SERVER)).one()
    seen = [each for each in row.standbys if each[1] is not None]
    return Server(
        is_standby=row.is_standby,
        version=row.version,
        system=row.system,
        position=int(row.position or 0),
        fsync=row.fsync,
        synchronous_commit=row.synchronous_commit,
        synchronous_standby_names=row.synchronous_standby_names,
        lag=_lag(row.lag_bytes, row.lag_seconds) if row.is_standby else None,
        receives=(row.receiver_status == "streaming") if row.sees_statistics else None,
        name=row.name,
        standbys=tuple(
            Standby(name, state, _lag(distance, seconds)) for name, state, distance, seconds in seen
        ),
        hidden_standbys=len(row.standbys) - len(seen),
        role=row.role,
    )


def _lag(distance: Decimal | float | None, seconds: Decimal | float | None) -> Lag:
    """Return a lag; a standby that has replayed everything is not behind by time either."""
    behind = max(int(distance or 0), 0)
    return Lag(behind, max(float(seconds or 0), 0.0) if behind else 0.0)


class ReadOnlyReason(StrEnum):
    """The reason why a database is read-only, as text for a person."""

    STANDBY = "it is a standby"
    SETTING = "default_transaction_read_only is on"


async def read_only_reason(connection: AsyncConnection) -> ReadOnlyReason | None:
    """Return why the database is read-only; None if it accepts writes."""
    read_only, is_standby = (await connection.execute(_read_only_state)).one()
    if is_standby:
        return ReadOnlyReason.STANDBY
    return ReadOnlyReason.SETTING if read_only else None
