"""Closing a listening socket without resetting connections that clients hold to be open.

The kernel completes connections before a process accepts them; those that wait when the socket is
closed are reset. So new ones are first kept out, then all that wait are accepted. A client that is
kept out tries again after a second and is refused, as if it had come later.
"""

import ctypes
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

_ATTACH_FILTER: Final = 26
"""Linux's SO_ATTACH_FILTER, which Python does not name."""
# Instructions of classic BPF, on a packet from its TCP header on: drop it if it opens a connection.
# Filters are inherited by the connections that are accepted, in which no packet does that.
_NO_NEWCOMERS: Final = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # of which SYN and ACK
    (0x15, 0, 1, 0x02),  # if it is SYN alone
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # else take it whole
)


def keep_newcomers_out(descriptors: Iterable[int]) -> None:
    """Let no new connection to listening sockets begin, in any process; on Linux alone."""
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(
        b"".join(struct.pack("HBBI", *instruction) for instruction in _NO_NEWCOMERS)
    )
    program = struct.pack("HL", len(_NO_NEWCOMERS), ctypes.addressof(code))
    for descriptor in descriptors:
        with (
            socket.socket(fileno=os.dup(descriptor)) as listener,
            suppress(OSError),  # a sandbox may know no filters: the last moment is at risk, as ever
        ):
            listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def readable(descriptors: Iterable[int]) -> set[int]:
    """Return which sockets have something that was not read, or a connection not accepted."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(0)}
