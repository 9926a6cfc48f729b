"""A member of a consumer group."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import pyarrow.flight as flight

from . import _config
from ._stream import TopicStream
from ._transport import call_options, open_client
from ._wire import millstream_v1_pb2 as wire
from .batch import Batch
from .errors import InvalidInput, MillstreamError, Unavailable

Partition = tuple[str, int]


class Consumer:
    """Takes batches of the topics it subscribes to; the group's members share the partitions.

    With ``enable.auto.commit`` (the default) a poll commits, every ``auto.commit.interval.ms``, what earlier polls gave;
    :meth:`close` commits what was given last. Otherwise call :meth:`commit`. A consumer is used from one thread.
    """

    def __init__(self, config: Mapping[str, Any]):
        self._settings = _config.read(config)
        self._client = open_client(self._settings["url"])
        self._options = call_options(self._settings["user"], self._settings["password"], self._client)
        self._changed = threading.Condition(threading.RLock())
        self._streams: dict[str, TopicStream] = {}
        self._topics: list[str] = []
        self._next_stream = 0
        self._handed_out: dict[Partition, int] = {}
        self._uncommitted: dict[Partition, tuple[int, int]] = {}
        self._last_commit = time.monotonic()
        self._polled = False
        self._closed = threading.Event()
        self._heartbeats: threading.Thread | None = None

    # ---- subscribing ----

    def subscribe(self, topics: Sequence[str]) -> None:
        """Joins the group for these topics, in place of those subscribed to before."""
        if isinstance(topics, str) or not topics:
            raise InvalidInput("subscribe takes a list of at least one topic name", "invalid_input")
        self.unsubscribe()
        self._topics = list(dict.fromkeys(topics))
        self._join()
        if self._heartbeats is None:
            self._heartbeats = threading.Thread(target=self._beat, daemon=True, name="millstream-heartbeat")
            self._heartbeats.start()

    def unsubscribe(self) -> None:
        """Leaves the group; with automatic commit, commits what was given out first."""
        if not self._streams:
            return
        try:
            if self._settings["enable.auto.commit"]:
                self.commit()
            next(iter(self._streams.values())).send(wire.ConsumerRequest(leave=wire.Leave()))
        except MillstreamError:
            pass  # the session is over already, which is what leaving is for
        self._drop_streams()
        self._handed_out.clear()

    def assignment(self) -> list[Partition]:
        """The (topic, partition) pairs this member owns."""
        with self._changed:
            return sorted((topic, number) for topic, stream in self._streams.items() for number in stream.partitions)

    # ---- taking rows ----

    def poll(self, timeout_s: float = 1.0) -> Batch | None:
        """The next batch with rows, or None when there is none within ``timeout_s`` seconds."""
        self._require_subscription()
        self._polled = True
        self._commit_when_due()
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                batch = self._take(deadline)
            except Unavailable as problem:
                self._reconnect(problem)
                continue
            return batch

    def __iter__(self) -> Iterator[Batch]:
        """Batches for ever, until :meth:`close`."""
        while not self._closed.is_set():
            batch = self.poll(1.0)
            if batch is not None:
                yield batch

    # ---- offsets ----

    def commit(self, batch: Batch | None = None, *, offsets: Mapping[Partition, int] | None = None) -> None:
        """Commits, and waits for it: everything given out so far; or all up to the end of ``batch``; or these next
        offsets to read."""
        if batch is not None:
            wanted = {(batch.topic, batch.partition): (batch.next_offset, batch.generation)}
        elif offsets is not None:
            wanted = {key: (offset, 0) for key, offset in offsets.items()}
        else:
            wanted = dict(self._uncommitted)
        by_topic: dict[str, list[tuple[int, int, int]]] = {}
        for (topic, number), (offset, generation) in wanted.items():
            by_topic.setdefault(topic, []).append((number, offset, generation))
        for topic, entries in by_topic.items():
            self._stream(topic).ask(
                commit=wire.Commit(
                    entries=[wire.PartitionOffset(partition=number, next_offset=offset) for number, offset, _ in entries],
                    generation=max(generation for _, _, generation in entries),
                )
            )
        for key, (offset, _) in wanted.items():
            if self._uncommitted.get(key, (None,))[0] == offset:
                del self._uncommitted[key]

    def committed(self) -> dict[Partition, int | None]:
        """The group's committed offset of each owned partition; None where there is none."""
        return {key: state.committed if state.HasField("committed") else None for key, state in self._states().items()}

    def position(self) -> dict[Partition, int]:
        """The next offset that :meth:`poll` will give, of each owned partition."""
        with self._changed:
            # Where the server began: its own position runs ahead of the caller by what it has sent.
            began = {
                (topic, number): state.position
                for topic, stream in self._streams.items()
                for number, state in stream.partitions.items()
            }
            return {key: self._handed_out.get(key, position) for key, position in began.items()}

    def offsets(self) -> dict[Partition, tuple[int, int]]:
        """(start, end) of each owned partition: the oldest retained row, and one past the newest durable one."""
        return {key: (state.start, state.end) for key, state in self._states().items()}

    def seek(self, topic: str, partition: int, to: int | str) -> int:
        """Moves the position to an offset, ``"start"`` or ``"end"``; the committed offset stays. Gives the position."""
        target = {"start": {"start": wire.Seek.Head()}, "end": {"end": wire.Seek.Tail()}}.get(to, {"offset": to})
        return self._seek(topic, wire.Seek(partition=partition, **target))

    def seek_to_time(self, topic: str, partition: int, append_time_us: int) -> int:
        """Moves the position to the first row appended at or after a time (µs since the Unix epoch)."""
        return self._seek(topic, wire.Seek(partition=partition, append_time_us=append_time_us))

    def pause(self, topic: str, partitions: Sequence[int]) -> None:
        """Stops the flow of partitions; what waits already is still given out."""
        self._stream(topic).send(wire.ConsumerRequest(pause=wire.Pause(partitions=partitions)))

    def resume(self, topic: str, partitions: Sequence[int]) -> None:
        """Lets paused partitions flow again."""
        self._stream(topic).send(wire.ConsumerRequest(resume=wire.Resume(partitions=partitions)))

    # ---- ending ----

    def close(self) -> None:
        """Leaves the group (see :meth:`unsubscribe`) and closes the connection."""
        if self._closed.is_set():
            return
        self._closed.set()
        self.unsubscribe()
        self._client.close()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- within ----

    def _join(self) -> None:
        member_id = ""
        for topic in self._topics:
            stream = TopicStream(self._open, self._hello(topic, member_id), self._changed)
            self._streams[topic] = stream
            member_id = stream.welcome.member_id

    def _open(self) -> tuple[flight.FlightStreamWriter, flight.FlightStreamReader]:
        return self._client.do_exchange(flight.FlightDescriptor.for_command(b"millstream.v1.consume"), self._options)

    def _hello(self, topic: str, member_id: str) -> wire.Hello:
        settings = self._settings
        return wire.Hello(
            version=1,
            namespace=settings["namespace"],
            group_id=settings["group.id"],
            client_id=settings["client.id"],
            member_id=member_id,
            topic=topic,
            topics=self._topics,
            auto_offset_reset=wire.AutoOffsetReset.Value(f"AUTO_OFFSET_RESET_{settings['auto.offset.reset'].upper()}"),
            session_timeout_ms=settings["session.timeout.ms"],
            max_poll_interval_ms=settings["max.poll.interval.ms"],
            min_poll_rows=settings["min.poll.rows"],
            max_poll_rows=settings["max.poll.rows"],
            mode=wire.GroupMode.Value(f"GROUP_MODE_{settings['group.mode'].upper()}"),
            replay=settings["replay"],
            credit_bytes=settings["fetch.max.bytes"],
            max_message_bytes=64 << 20,
            row_offsets=True,
            compression=wire.Compression.Value(f"COMPRESSION_{settings['compression'].upper()}"),
        )

    def _take(self, deadline: float) -> Batch | None:
        """Waits for a batch with rows until the deadline; moves positions past empty ones."""
        while True:
            with self._changed:
                taken = self._take_one()
                if taken is None:
                    failures = [stream.failure for stream in self._streams.values() if stream.failure is not None]
                    if failures:
                        raise failures[0]
                    left = deadline - time.monotonic()
                    if left <= 0:
                        return None
                    self._changed.wait(left)
                    continue
                stream, item = taken
                where = (stream.topic, item.partition)
                self._handed_out[where] = item.next_offset
                self._uncommitted[where] = (item.next_offset, item.generation)
            stream.give_credit(item.bytes)
            if isinstance(item, Batch):
                return item

    def _take_one(self) -> tuple[TopicStream, Batch | wire.Batch] | None:
        """Round robin over the topics. Holds the condition."""
        streams = list(self._streams.values())
        for step in range(len(streams)):
            stream = streams[(self._next_stream + step) % len(streams)]
            item = stream.take()
            if item is not None:
                self._next_stream = (self._next_stream + step + 1) % len(streams)
                return stream, item
        return None

    def _commit_when_due(self) -> None:
        settings = self._settings
        due = time.monotonic() - self._last_commit >= settings["auto.commit.interval.ms"] / 1000
        if not (settings["enable.auto.commit"] and due and self._uncommitted):
            return
        self._last_commit = time.monotonic()
        owned = set(self.assignment())
        for key in set(self._uncommitted) - owned:
            del self._uncommitted[key]
        self.commit()

    def _reconnect(self, problem: MillstreamError) -> None:
        """Joins anew after a break and goes on where the last poll ended."""
        self._drop_streams()
        for _ in range(self._settings["reconnect.count"]):
            if self._closed.wait(self._settings["reconnect.interval.ms"] / 1000):
                break
            try:
                self._join()
            except Unavailable as again:
                problem = again
                self._drop_streams()
                continue
            for (topic, number), offset in self._handed_out.items():
                state = self._streams[topic].partitions.get(number)
                if state is not None and offset > state.position:
                    self.seek(topic, number, offset)
            return
        raise problem

    def _drop_streams(self) -> None:
        with self._changed:
            streams = list(self._streams.values())
            self._streams.clear()
            self._uncommitted.clear()
        for stream in streams:
            stream.close()

    def _states(self) -> dict[Partition, wire.PartitionState]:
        self._require_subscription()
        states = {}
        for topic, stream in list(self._streams.items()):
            for state in stream.ask(offsets=wire.OffsetsRequest()).partitions:
                states[(topic, state.partition)] = state
        return states

    def _seek(self, topic: str, seek: wire.Seek) -> int:
        reply = self._stream(topic).ask(seek=seek)
        with self._changed:
            self._handed_out[(topic, seek.partition)] = reply.offset
            self._uncommitted.pop((topic, seek.partition), None)
        return reply.offset

    def _stream(self, topic: str) -> TopicStream:
        if topic not in self._streams:
            raise InvalidInput(f"not subscribed to {topic!r}", "failed_precondition")
        return self._streams[topic]

    def _require_subscription(self) -> None:
        if self._closed.is_set():
            raise InvalidInput("the consumer is closed", "failed_precondition")
        if not self._topics:
            raise InvalidInput("subscribe first", "failed_precondition")

    def _beat(self) -> None:
        """Keeps the session alive while the application works on a batch."""
        while not self._closed.wait(self._settings["session.timeout.ms"] / 4000):
            with self._changed:
                stream = next(iter(self._streams.values()), None)
            polled, self._polled = self._polled, False
            if stream is not None and stream.failure is None:
                try:
                    stream.send(wire.ConsumerRequest(heartbeat=wire.Heartbeat(polled=polled)))
                except MillstreamError:
                    pass  # the next poll reports and mends it
