"""Positions in the write-ahead log, and the statements that read them."""

from typing import Final, NamedTuple, Self

_TIMELINE_DIGITS: Final = 10
_LSN_DIGITS: Final = 20
DIGITS: Final = _TIMELINE_DIGITS + _LSN_DIGITS
"""The digits with which an encoded position begins; their order as text is that of positions."""
SEVERAL: Final = "*"
"""In place of one server: several servers may have shown the record that follows."""


class Position(NamedTuple):
    """A position in the log."""

    timeline: int
    """The timeline, which each promotion of a standby raises."""
    lsn: int
    """The log sequence number, in bytes: the end of a record."""
    shown_by: str = ""
    """The standby that may have shown the record that follows, too; empty if none may have."""

    def encode(self) -> str:
        """Return the position as text."""
        return f"{self.timeline:0{_TIMELINE_DIGITS}d}{self.lsn:0{_LSN_DIGITS}d}{self.shown_by}"

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Return the position that `encode` wrote."""
        text = encoded.decode()
        return cls(int(text[:_TIMELINE_DIGITS]), int(text[_TIMELINE_DIGITS:DIGITS]), text[DIGITS:])

    def joined(self, other: Self) -> Self:
        """Return the least position that includes both."""
        if self[:2] != other[:2]:
            return max(self, other)
        shown_by = {self.shown_by, other.shown_by} - {""}
        return self._replace(shown_by=SEVERAL if len(shown_by) > 1 else "".join(shown_by))

    def is_included_in(self, timeline: int, lsn: int, server: str) -> bool:
        """Return whether a standby that has replayed so much shows all of it."""
        if timeline != self.timeline:
            return False
        return lsn > self.lsn or (lsn == self.lsn and self.shown_by in ("", server))


PRIMARY_POSITION: Final = """
SELECT substr(pg_walfile_name(lsn), 1, 8) AS timeline, (lsn - '0/0')::bigint AS lsn
FROM (
    SELECT CASE current_setting('synchronous_commit')
        WHEN 'off' THEN pg_current_wal_insert_lsn()
        ELSE pg_current_wal_flush_lsn()
    END AS lsn
) AS position
"""
"""The position of the primary, after all that any transaction sees.

A commit is visible only after its record was flushed, unless `synchronous_commit` is off: then
after it was inserted. The name of a file of the log begins with the timeline, in hexadecimal
digits. A standby raises an error.
"""

REPLAY_POSITION: Final = """
SELECT pg_is_in_recovery() AS is_standby,
       coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint, 0) AS lsn,
       pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn() AS is_replaying
"""
"""The position of a standby: the end of the last record that it has replayed as a whole.

A commit becomes visible while its record is replayed, before this position includes it. If more was
received than replayed, a statement may have seen the record that follows.
"""

STANDBY_IDENTITY: Final = """
SELECT (SELECT system_identifier FROM pg_control_system()) AS system,
       (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started,
       coalesce(inet_server_addr()::text, '') AS address,
       coalesce(inet_server_port(), 0) AS port
"""

STANDBY_TIMELINE: Final = """
SELECT greatest(
    (SELECT timeline_id FROM pg_control_checkpoint()),
    (SELECT received_tli FROM pg_stat_wal_receiver)
)
"""
"""A timeline that a standby has reached.

The checkpoint is at most `checkpoint_timeout` old. Members of `pg_read_all_stats` also see that of
the receiver. A standby that receives a timeline has not replayed beyond its beginning.
"""
