"""One client's connection, and when it may be closed."""

from typing import Final

from app.server.listener import readable
from app.server.protocol import BoundedProtocol
from app.shutdown import DRAINING

FIRST_REQUEST_SECONDS: Final = 1.0
"""How long a connection that was just accepted may take to say something."""


class Connection(BoundedProtocol):
    """A connection that, once its process was asked to end, says so with each answer."""

    _begun = False
    """Whether a request has begun whose headers are not complete."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start to answer; while draining, the answer is the connection's last."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is before:  # the same head is parsed again
            return
        self._begun = False
        if self.app_state.get(DRAINING):
            self.cycle.keep_alive = False
            if before is not None and not before.response_started:
                # The client did not wait for an answer; the one to its last request ends it.
                before.keep_alive = True

    def drain(self) -> None:
        """Make the answer under way the last, unless it has begun and promised otherwise."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self, *, patient: bool) -> None:
        """Close the connection if nothing is under way; if `patient`, not before its first request.

        What has arrived and was not looked at yet counts as under way.
        """
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self._begun or (patient and self.cycle is None):
            return
        if self.transport.is_closing():  # its last answer is still being sent
            return
        if not readable([self.transport.get_extra_info("socket").fileno()]):
            self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle for long, unless its next request has just arrived."""
        self.close_if_idle(patient=False)

    def cut(self) -> None:
        """End the connection now; what is under way sees its client gone."""
        self.transport.abort()
