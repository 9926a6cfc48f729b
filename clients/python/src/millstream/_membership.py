"""The member's streams: joining, losing them, and joining again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow.flight as flight

from ._backoff import wait_s
from ._calls import Call
from ._inbox import Taken
from ._partition import Held, Partition
from ._stream import SchemaChanged, TopicStream
from ._transport import LogIn
from ._wire import millstream_v1_pb2 as wire
from .errors import UNAUTHENTICATED, FailedPrecondition, Fenced, MillstreamError, OutOfRange, Unavailable

_log = logging.getLogger("millstream.consumer")


class Changed(threading.Condition):
    """Something may have changed for a poll. Also wakes those who wait without a thread."""

    def __init__(self) -> None:
        super().__init__(threading.RLock())
        #: Called each time, under the lock, by any thread.
        self.wakes: list[Callable[[], None]] = []

    def notify_all(self) -> None:
        super().notify_all()
        for wake in self.wakes:
            wake()


class Membership:
    """One member of a group and its streams, one for each topic. After a broken connection it joins anew and goes on where
    polls had come to, unless the group's offset was moved since; a member that was shut out goes on at the committed offsets;
    when a topic's columns change, a new stream of the same member goes on."""

    def __init__(self, settings: Mapping[str, Any], client: flight.FlightClient, log_in: LogIn):
        self.changed = Changed()
        self.topics: list[str] = []
        self.streams: dict[str, TopicStream] = {}
        #: Whoever waits is to come back without a result.
        self.interrupted = False
        self._settings = settings
        self._client = client
        self._log_in = log_in
        self._group = str(settings["group.id"])
        self._next_stream = 0
        #: Why there are no streams, the attempts that have failed, and when the next is due.
        self._problem: MillstreamError | None = None
        self._attempts = 0
        self._not_before = 0.0
        #: Where partitions stood before the break.
        self._before: dict[Partition, Held] = {}

    def join(self, topics: list[str]) -> None:
        """Joins the group for these topics; if that fails, nothing is subscribed to."""
        self.topics = topics
        try:
            self._open_streams()
        except MillstreamError:
            self.topics = []
            raise

    def leave(self) -> None:
        """Leaves the group."""
        for stream in list(self.streams.values())[:1]:
            stream.leave()
            _log.info("group %s: left", self._group)
        self.drop()

    def drop(self) -> None:
        """Forgets the streams and all they held."""
        self._drop_streams()
        self._before.clear()
        self._problem = None

    def is_joined(self) -> bool:
        """Whether all streams are there and stand where they should."""
        return self._problem is None and not self._before

    def check(self) -> None:
        """Raises why there are no streams, if there are none."""
        if self._problem is not None:
            raise self._problem

    def stream(self, topic: str) -> TopicStream:
        """The stream of a topic that is subscribed to."""
        if topic not in self.topics:
            raise FailedPrecondition(f"not subscribed to {topic!r}", "failed_precondition")
        self.check()
        return self.streams[topic]

    def take(self) -> tuple[TopicStream, Taken] | None:
        """Round robin over the topics. Holds the condition."""
        streams = list(self.streams.values())
        for step in range(len(streams)):
            stream = streams[(self._next_stream + step) % len(streams)]
            taken = stream.take()
            if taken is not None:
                self._next_stream = (self._next_stream + step + 1) % len(streams)
                return stream, taken
        return None

    def has_something(self) -> bool:
        """Whether :meth:`take` gives something. Holds the condition."""
        return any(stream.inbox.has_something() for stream in self.streams.values())

    def ended(self) -> TopicStream | None:
        """A stream that has ended, if there is one. Holds the condition."""
        return next((stream for stream in self.streams.values() if stream.failure is not None), None)

    def stream_ended(self, stream: TopicStream) -> None:
        """Everything that came by a stream was taken or thrown away. Raises the error that no joining mends."""
        error = stream.failure or Unavailable("the stream has ended", "retry")
        keep_positions = not isinstance(error, Fenced)
        if isinstance(error, SchemaChanged):
            try:
                self._reopen(stream)
                return
            except MillstreamError as failed:
                error = failed
        rejoins = isinstance(error, Fenced) and self._settings["group.mode"] == "shared"
        logs_in_anew = error.kind == UNAUTHENTICATED and self._log_in.forget()
        if not (isinstance(error, Unavailable) or rejoins or logs_in_anew):
            raise error
        self._lose_streams(error, keep_positions)

    def mend(self, deadline: float) -> bool:
        """Tries to join again until the deadline (monotonic); False if that came first. Raises once the attempts are used up."""
        while self._problem is not None:
            if self._attempts >= self._settings["reconnect.count"]:
                self._attempts = 0
                raise self._problem
            wait = self._not_before - time.monotonic()
            if wait > 0:
                with self.changed:
                    self.changed.wait_for(lambda: self.interrupted, max(0.0, min(wait, deadline - time.monotonic())))
                if self._not_before > deadline or self.interrupted:
                    return False
            self._attempts += 1
            first, most = (self._settings[f"reconnect.{key}.ms"] for key in ("interval", "max.interval"))
            self._not_before = time.monotonic() + wait_s(first, most, self._attempts)
            try:
                self._open_streams()
            except (Unavailable, Fenced) as again:
                _log.info("group %s: attempt %d to join again failed: %s", self._group, self._attempts, again)
                self._problem = again
        try:
            self._go_on()
            self._attempts = 0
        except (Unavailable, Fenced) as again:
            self._lose_streams(again, not isinstance(again, Fenced))
        return True

    # ---- within ----

    def _open_streams(self) -> None:
        try:
            self._try_open_streams()
        except MillstreamError as error:
            if error.kind != UNAUTHENTICATED or not self._log_in.forget():
                raise
            self._try_open_streams()

    def _try_open_streams(self) -> None:
        self._drop_streams()
        member_id, streams = "", {}
        try:
            for topic in self.topics:
                streams[topic] = TopicStream(self._open, self._hello(topic, member_id), self.changed)
                member_id = streams[topic].member_id
        except MillstreamError:
            for stream in streams.values():
                stream.close()
            raise
        with self.changed:
            self.streams, self._problem = streams, None
        _log.info("group %s: joined as member %s for %s", self._group, member_id, ", ".join(self.topics))

    def _reopen(self, old: TopicStream) -> None:
        hello = self._hello(old.topic, old.member_id)
        with self.changed:
            held = old.inbox.copy()
        stream = TopicStream(self._open, hello, self.changed, held)
        with self.changed:
            self.streams[old.topic] = stream
        old.close()
        _log.info("group %s: the columns of %s have changed", self._group, old.topic)

    def _lose_streams(self, problem: MillstreamError, keep_positions: bool) -> None:
        with self.changed:
            held = {
                (topic, partition): held
                for topic, stream in self.streams.items()
                for partition, held in stream.inbox.copy().items()
            }
        _log.warning("group %s: joins again, because: %s", self._group, problem)
        # What an earlier break has left to be restored still stands there.
        self._before = {**held, **self._before} if keep_positions else {}
        self._problem = problem
        # A server that was started anew knows no tokens.
        self._log_in.forget()
        self._drop_streams()

    def _drop_streams(self) -> None:
        with self.changed:
            streams, self.streams = list(self.streams.values()), {}
        for stream in streams:
            stream.close()

    def _go_on(self) -> None:
        """After joining again: partitions that are still this member's go on where the last poll ended."""
        while self._before:
            (topic, partition), before = next(iter(self._before.items()))
            stream = self.stream(topic)
            now = stream.inbox.partitions.get(partition)
            if now is not None and before.goes_on(now):
                _restore(stream, partition, before, now.position)
            del self._before[(topic, partition)]

    def _open(self, call: Call) -> tuple[flight.FlightStreamWriter, flight.FlightStreamReader]:
        descriptor = flight.FlightDescriptor.for_command(b"millstream.v1.consume")
        options = self._log_in.options()
        with call:
            writer, reader = self._client.do_exchange(descriptor, options)
        return writer, reader

    def _hello(self, topic: str, member_id: str) -> wire.Hello:
        settings = self._settings
        return wire.Hello(
            version=1,
            namespace=settings["namespace"],
            group_id=settings["group.id"],
            client_id=settings["client.id"],
            member_id=member_id,
            topic=topic,
            topics=self.topics,
            auto_offset_reset=f"AUTO_OFFSET_RESET_{settings['auto.offset.reset'].upper()}",
            session_timeout_ms=settings["session.timeout.ms"],
            max_poll_interval_ms=settings["max.poll.interval.ms"],
            min_poll_rows=settings["min.poll.rows"],
            max_poll_rows=settings["max.poll.rows"],
            mode=f"GROUP_MODE_{settings['group.mode'].upper()}",
            replay=settings["replay"],
            credit_bytes=settings["fetch.max.bytes"],
            max_message_bytes=64 << 20,
            row_offsets=True,
            compression=f"COMPRESSION_{settings['compression'].upper()}",
        )


def _restore(stream: TopicStream, partition: int, before: Held, now: int | None) -> None:
    if before.paused:
        stream.pause([partition])
    if before.position is None or before.position == now:
        return
    try:
        stream.ask(seek=wire.Seek(partition=partition, offset=before.position))
    except OutOfRange:
        return  # retention has passed it: the server follows auto.offset.reset
    with stream._changed:
        if partition in stream.inbox.partitions:
            stream.inbox.partitions[partition].uncommitted = before.uncommitted
