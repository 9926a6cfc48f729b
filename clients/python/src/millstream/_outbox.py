"""What one stream has yet to send: requests in order, and credit, which is summed up and so neither lost nor without bound."""

from __future__ import annotations

import threading
from collections import deque

import pyarrow.flight as flight

from ._wire import millstream_v1_pb2 as wire
from .errors import ARROW_ERRORS, Unavailable

#: Requests that wait for a server which does not read them.
_MAX_REQUESTS = 1024


class Outbox:
    """Sends from a thread of its own, so that nobody else ever waits for the network."""

    def __init__(self, name: str):
        self._name = name
        self._changed = threading.Condition()
        self._requests: deque[wire.ConsumerRequest] = deque()
        self._credit = 0
        self._closed = False
        self._thread: threading.Thread | None = None

    def start(self, writer: flight.FlightStreamWriter) -> None:
        """Begins to send."""
        self._thread = threading.Thread(target=self._send, args=(writer,), daemon=True, name=self._name)
        self._thread.start()

    def push(self, request: wire.ConsumerRequest) -> None:
        """Queues a request."""
        with self._changed:
            if len(self._requests) >= _MAX_REQUESTS:
                raise Unavailable("the server does not read this stream's requests", "retry")
            self._requests.append(request)
            self._changed.notify_all()

    def credit(self, count: int) -> None:
        """Lets the server send ``count`` bytes more."""
        if count:
            with self._changed:
                self._credit += count
                self._changed.notify_all()

    def close(self) -> None:
        """Ends the thread once what waits has gone."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def join(self, timeout_s: float) -> None:
        """Waits for the thread's end."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _send(self, writer: flight.FlightStreamWriter) -> None:
        try:
            while (request := self._next()) is not None:
                writer.write_metadata(request.SerializeToString())
        except ARROW_ERRORS:
            pass  # broken: the reader knows why

    def _next(self) -> wire.ConsumerRequest | None:
        with self._changed:
            self._changed.wait_for(lambda: self._credit or self._requests or self._closed)
            if self._credit:
                count, self._credit = self._credit, 0
                return wire.ConsumerRequest(credit=wire.Credit(bytes=count))
            return self._requests.popleft() if self._requests else None
