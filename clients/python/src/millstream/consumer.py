"""A member of a consumer group."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, SupportsIndex

from . import _config
from ._heartbeat import Heartbeat
from ._membership import Membership
from ._partition import Partition
from ._polls import Polls, commit_of
from ._stream import TopicStream
from ._tls import Tls
from ._transport import LogIn, open_client
from ._wire import millstream_v1_pb2 as wire
from .batch import Batch
from .errors import FailedPrecondition, Fenced, InvalidInput, MillstreamError, OutOfRange

#: Called with the consumer and the partitions.
OnPartitions = Callable[["Consumer", list[Partition]], None]


class Consumer:
    """Takes batches of the topics it subscribes to; the group's members share the partitions.

    With ``enable.auto.commit`` (the default) a poll commits, every ``auto.commit.interval.ms``, what earlier polls gave;
    :meth:`close` commits what was given last, and so does the end of a ``with`` block, but not one whose body raised. Otherwise
    call :meth:`commit`. A consumer is used from one thread.

    A poll also mends what has broken. After a broken connection it goes on where the last poll ended, unless the group's
    offset has been moved since. A member that the group has gone on without (its session timed out, or it did not poll in
    time) joins as a new one and goes on at the committed offsets; in a broadcast group it gets the error, because its place
    may be another's. When a table's columns have changed, later batches have the new schema, and nothing is repeated.

    Every method that asks the server raises ``FailedPrecondition`` before :meth:`subscribe` and after :meth:`close`, and
    ``Unavailable`` if the server does not answer.

    :param config: ``group.id`` and the other parameters of docs/delivery.md, and ``url``, ``user`` and ``password`` or ``token`` (see
        :class:`Connection`). With ``grpc+tls://`` URLs also ``ssl.ca.location`` (a file of certificates, where the machine's own
        don't do), ``ssl.fingerprint`` (of the server's certificate, which is looked at now), ``ssl.certificate.location`` and
        ``ssl.key.location`` (what this client shows).
    :raises InvalidInput: a parameter that does not exist, or a value outside of its range.
    :raises Unavailable: with a fingerprint: the server can't be reached, or shows another certificate."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._settings = _config.read(config)
        self._client = open_client(self._settings["url"], Tls.of(self._settings))
        log_in = LogIn(self._settings["user"], self._settings["password"], self._settings["token"], self._client)
        self._member = Membership(self._settings, self._client, log_in)
        self._changed = self._member.changed
        self._closed = threading.Event()
        self._heartbeat = Heartbeat(self._member, self._closed)
        self._polls = Polls(self._settings, self._member, self._heartbeat)
        self._on_assign: OnPartitions | None = None
        self._on_revoke: OnPartitions | None = None

    # ---- subscribing ----

    def subscribe(
        self, topics: Sequence[str], *, on_assign: OnPartitions | None = None, on_revoke: OnPartitions | None = None
    ) -> None:
        """Joins the group for these topics, in place of those subscribed to before.

        :param on_assign: is called, by a poll and before it gives any of their rows, with partitions that have become this
            member's. It may seek.
        :param on_revoke: is called with those that are this member's no longer. In a poll that has happened already, because
            the server waits for nobody: a commit of what came of them is ``Fenced``, and what is unfinished is to be thrown away. In
            :meth:`unsubscribe` and :meth:`close` they are still this member's, as :meth:`assignment` shows, and may be committed.
            A partition that was another's in between, or whose offset was set, is revoked and assigned.
        :raises InvalidInput, NotFound, FailedPrecondition, OutOfRange, ResourceExhausted: the group can't be joined like this.
        :raises Unavailable: the server can't be reached, or asks to come back later. Nothing is subscribed to then."""
        self._require_open()
        if isinstance(topics, str) or not topics:
            raise InvalidInput("subscribe takes a list of at least one topic name", "invalid_input")
        self.unsubscribe()
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._member.join(list(dict.fromkeys(topics)))
        self._heartbeat.start()

    def unsubscribe(self) -> None:
        """Leaves the group; with automatic commit, commits what was given out first.

        :raises Fenced, Unavailable: that could not be committed; the group is left all the same."""
        try:
            told = self._polls.forget()
            if told and self._on_revoke is not None:
                self._on_revoke(self, told)
            if self._settings["enable.auto.commit"] and self._member.streams:
                self.commit()
        finally:
            self._member.leave()
            self._member.topics = []

    def assignment(self) -> list[Partition]:
        """The (topic, partition) pairs this member owns."""
        with self._changed:
            streams = self._member.streams.items()
            return sorted((topic, number) for topic, stream in streams for number in stream.inbox.partitions)

    # ---- taking rows ----

    def poll(self, timeout_s: float = 1.0) -> Batch | None:
        """The next batch with rows, or None when there is none within ``timeout_s`` seconds, also while the server can't be
        reached.

        :raises Unavailable: the server could not be reached in ``reconnect.count`` attempts. Another poll tries again.
        :raises Fenced: another member has taken this one's place in a broadcast group.
        :raises MillstreamError: reading one partition has failed (a row that can't be evaluated, an offset that is not
            retained), or an automatic commit was refused. The other partitions go on: poll on, or seek past it."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._require_subscription()
            if not self._polls.wait(deadline):
                return None
            gone, come = self._polls.changes()
            if gone and self._on_revoke is not None:
                self._on_revoke(self, gone)
            if come and self._on_assign is not None:
                self._on_assign(self, come)
            batch = self._polls.take()
            if batch is not None:
                return batch

    def __iter__(self) -> Iterator[Batch]:
        """Batches for ever, until :meth:`close`. Raises what :meth:`poll` does."""
        while not self._closed.is_set():
            batch = self.poll(1.0)
            if batch is not None:
                yield batch

    # ---- offsets ----

    def commit(self, batch: Batch | None = None, *, offsets: Mapping[Partition, int] | None = None) -> None:
        """Commits, and waits for it: everything given out so far of the partitions that are still owned; or all up to the end
        of ``batch``; or these next offsets to read.

        :raises Fenced: the batch's partition has been another member's since, or the group has gone on without this member:
            the rows come again, to whoever has the partition. A poll goes on.
        :raises OutOfRange: an offset is not between 0 and the end.
        :raises Unavailable: whether it was committed is not known."""
        self._require_subscription()
        self._member.check()
        if batch is not None:
            stream = self._member.stream(batch.topic)
            held = stream.inbox.partitions.get(batch.partition)
            if held is None or batch.generation < held.since:
                moved = f"partition {batch.partition} of {batch.topic!r} has moved since generation {batch.generation}"
                raise Fenced(f"{moved}, in which the rows were delivered", "fenced")
            wanted = {batch.topic: {batch.partition: batch.next_offset}}
        elif offsets is not None:
            wanted = {}
            for (topic, number), offset in offsets.items():
                wanted.setdefault(topic, {})[number] = offset
        else:
            wanted = {topic: self._polls.uncommitted(stream) for topic, stream in self._member.streams.items()}
        for topic, entries in wanted.items():
            if entries:
                stream = self._member.stream(topic)
                stream.ask(commit=commit_of(stream, entries))

    def committed(self) -> dict[Partition, int | None]:
        """The group's committed offset of each owned partition; None where there is none."""
        return {key: state.committed if state.HasField("committed") else None for key, state in self._states().items()}

    def position(self) -> dict[Partition, int]:
        """The next offset that :meth:`poll` will give, of each owned partition. Asks nobody."""
        with self._changed:
            return {
                (topic, number): held.next_offset
                for topic, stream in self._member.streams.items()
                for number, held in stream.inbox.partitions.items()
            }

    def offsets(self) -> dict[Partition, tuple[int, int]]:
        """(start, end) of each owned partition: the oldest retained row, and one past the newest durable one."""
        return {key: (state.start, state.end) for key, state in self._states().items()}

    def seek(self, topic: str, partition: int, to: int | str) -> int:
        """Moves the position to an offset, ``"start"`` or ``"end"``; the committed offset stays. Gives the position.

        :raises OutOfRange: there is no such offset, or it is not retained. The position stays then.
        :raises Fenced: the partition is not this member's."""
        return self._seek(self._stream(topic), partition, to)

    def seek_to_time(self, topic: str, partition: int, append_time_us: int) -> int:
        """Moves the position to the first row appended at or after a time (µs since the Unix epoch), and gives it. Raises what
        :meth:`seek` does."""
        return _sought(self._stream(topic), wire.Seek(partition=partition, append_time_us=append_time_us))

    def pause(self, topic: str, partitions: Sequence[int]) -> None:
        """Gives no more rows of these partitions until they are resumed, or moved away by a rebalance or a reset of the group's
        offsets, which ends the pause. Rows that wait already are thrown away and read again after the pause."""
        self._stream(topic).pause(list(partitions))

    def resume(self, topic: str, partitions: Sequence[int]) -> None:
        """Lets paused partitions flow again, from where polls have come to. What retention has passed meanwhile follows
        ``auto.offset.reset``.

        :raises OutOfRange: that is ``none``."""
        stream = self._stream(topic)
        for partition in partitions:
            held = stream.inbox.partitions.get(partition)
            if held is not None and held.rewind:
                self._rewind(stream, partition, held.next_offset)
            stream.resume(partition)

    # ---- ending ----

    def close(self) -> None:
        """Leaves the group (see :meth:`unsubscribe`, also for what it raises) and closes the connection. A ``with`` block whose
        body raises commits nothing instead, and calls no callback: what was given out may not have been processed, and the
        group gets it again. Closing twice is closing once."""
        self._end(self.unsubscribe)

    def __enter__(self) -> Consumer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()

    # ---- within ----

    def _end(self, leave: Callable[[], None]) -> None:
        if self._closed.is_set():
            return
        try:
            leave()
        finally:
            self._closed.set()
            self._client.close()

    def _abandon(self) -> None:
        """Ends without a commit."""
        try:
            self._end(self._member.leave)
        except MillstreamError:
            pass  # what was raised before is the error to be told

    def _rewind(self, stream: TopicStream, partition: int, position: int) -> None:
        try:
            self._seek(stream, partition, position)
        except OutOfRange:
            reset = {"earliest": "start", "latest": "end"}.get(self._settings["auto.offset.reset"])
            if reset is None:
                raise
            self._seek(stream, partition, reset)

    def _seek(self, stream: TopicStream, partition: int, to: int | str) -> int:
        if to == "start":
            seek = wire.Seek(partition=partition, start=wire.Seek.Head())
        elif to == "end":
            seek = wire.Seek(partition=partition, end=wire.Seek.Tail())
        elif isinstance(to, SupportsIndex) and 0 <= to.__index__() < 2**64:
            seek = wire.Seek(partition=partition, offset=to.__index__())
        else:
            raise InvalidInput(f"can't seek to {to!r}, which is no offset, nor 'start' or 'end'", "invalid_input")
        return _sought(stream, seek)

    def _states(self) -> dict[Partition, wire.PartitionState]:
        self._require_subscription()
        self._member.check()
        states = {}
        for topic, stream in list(self._member.streams.items()):
            for state in stream.ask(offsets=wire.OffsetsRequest()).partitions:
                states[(topic, state.partition)] = state
        return states

    def _stream(self, topic: str) -> TopicStream:
        self._require_subscription()
        return self._member.stream(topic)

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise FailedPrecondition("the consumer is closed", "failed_precondition")

    def _require_subscription(self) -> None:
        self._require_open()
        if not self._member.topics:
            raise FailedPrecondition("subscribe first", "failed_precondition")


def _sought(stream: TopicStream, seek: wire.Seek) -> int:
    offset: int = stream.ask(seek=seek).offset
    return offset
