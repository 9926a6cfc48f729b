"""Keeps a session alive while the application works on a batch."""

from __future__ import annotations

import threading

from ._membership import Membership
from ._wire import millstream_v1_pb2 as wire
from .errors import MillstreamError

#: How often to look for a session to keep alive while there is none.
_LOOK_S = 1.0


class Heartbeat:
    """A thread that tells the server at its pace that the member lives, and whether it has polled since. Waiting for rows is
    asking for them."""

    def __init__(self, member: Membership, closed: threading.Event) -> None:
        self._member = member
        self._closed = closed
        self._polled = False
        #: Polls under way.
        self._polling = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins, if it has not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, daemon=True, name="millstream-heartbeat")
            self._thread.start()

    def __enter__(self) -> None:
        """The application polls until the end of the block."""
        self._polled = True
        self._polling += 1

    def __exit__(self, *_: object) -> None:
        self._polled = True
        self._polling -= 1

    def _beat(self) -> None:
        while True:
            with self._member.changed:
                stream = next(iter(self._member.streams.values()), None)
            welcome = stream.welcome if stream is not None else None
            if self._closed.wait(_LOOK_S if welcome is None else max(0.1, welcome.heartbeat_interval_ms / 1000)):
                return
            polled, self._polled = self._polled or self._polling > 0, False
            if stream is not None:
                try:
                    stream.send(wire.ConsumerRequest(heartbeat=wire.Heartbeat(polled=polled)))
                except MillstreamError:
                    pass  # the next poll reports and mends it
