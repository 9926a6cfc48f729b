"""One DoExchange stream: a topic of a member. A thread reads it; what it reads waits, bounded by credit, for a poll."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ._calls import Call
from ._inbox import Due, Inbox, Taken, error_of
from ._outbox import Outbox
from ._partition import Held
from ._wire import millstream_v1_pb2 as wire
from .batch import Batch
from .errors import ARROW_ERRORS, Fenced, MillstreamError, Timeout, Unavailable

_log = logging.getLogger("millstream.consumer")
_REPLY_TIMEOUT_S = 30.0
#: A cancelled call gives up what it was sending.
_CANCEL_TIMEOUT_S = 10.0


class SchemaChanged(Unavailable):
    """The topic has other columns from here on: a new stream of the same member goes on."""


class TopicStream:
    """Owns one stream. ``changed`` is the consumer's condition: notified whenever a poll may find something new."""

    def __init__(
        self,
        open_stream: Callable[[Call], Any],
        hello: wire.Hello,
        changed: threading.Condition,
        held: dict[int, Held] | None = None,
    ):
        self.topic = hello.topic
        self.welcome: wire.Welcome | None = None
        self.schema: pa.Schema | None = None
        self.failure: MillstreamError | None = None
        self.inbox = Inbox(held or {})
        self._changed = changed
        self._requests = itertools.count(1)
        self._outbox = Outbox(f"millstream-send-{self.topic}")
        self._call = Call()
        try:
            self._writer, self._reader = open_stream(self._call)
        except ARROW_ERRORS as error:
            raise self._call.error(error) from error
        self._outbox.push(wire.ConsumerRequest(hello=hello))
        self._outbox.start(self._writer)
        threading.Thread(target=self._read, daemon=True, name=f"millstream-{self.topic}").start()
        try:
            self._wait(lambda: self.inbox.assigned)
        except MillstreamError:
            self.close()
            raise

    @property
    def member_id(self) -> str:
        """What the server calls the member."""
        return self.welcome.member_id if self.welcome is not None else ""

    def send(self, request: wire.ConsumerRequest) -> None:
        """Queues one control message."""
        if self.failure is not None:
            raise self.failure
        self._outbox.push(request)

    def ask(self, **request: Any) -> Any:
        """Sends a request that has an id and gives its reply; raises what the server answered."""
        (name, message), = request.items()
        message.request_id = next(self._requests)
        number = message.request_id
        with self._changed:
            self.inbox.asked.add(number)
            if name == "commit":
                self._note_commit(message)
        try:
            self.send(wire.ConsumerRequest(**{name: message}))
            self._wait(lambda: number in self.inbox.replies)
            reply = self.inbox.replies[number]
        finally:
            with self._changed:
                self.inbox.asked.discard(number)
                self.inbox.replies.pop(number, None)
        if reply.HasField("error"):
            raise error_of(reply.error)
        return reply

    def commit_soon(self, commit: wire.Commit) -> None:
        """Commits without waiting for it."""
        commit.request_id = next(self._requests)
        with self._changed:
            self._note_commit(commit)
        self.send(wire.ConsumerRequest(commit=commit))

    def take(self) -> Taken | None:
        """The next thing for the caller; its credit goes back. The caller holds the condition."""
        taken = self.inbox.take()
        if taken is not None:
            self._outbox.credit(taken.bytes)
        return taken

    def pause(self, partitions: list[int]) -> None:
        """What waits of these partitions is thrown away, and read again when they are resumed: it would hold credit that the
        others need."""
        with self._changed:
            self._outbox.credit(sum(self.inbox.pause(partition) for partition in partitions))
        self.send(wire.ConsumerRequest(pause=wire.Pause(partitions=partitions)))

    def resume(self, partition: int) -> None:
        """The server may send this partition again, from where polls have come to."""
        with self._changed:
            if partition in self.inbox.partitions:
                self.inbox.partitions[partition].paused = False
        self.retry(partition)

    def retry(self, partition: int) -> None:
        """Asks for a partition again whose reading had failed."""
        self.send(wire.ConsumerRequest(resume=wire.Resume(partitions=[partition])))

    def leave(self) -> None:
        """Says that the member leaves, and waits until the server has ended the stream."""
        try:
            self.send(wire.ConsumerRequest(leave=wire.Leave()))
            self._wait(lambda: self.failure is not None)
        except MillstreamError:
            pass  # it is over already, which is what leaving is for

    def close(self) -> None:
        """Ends the stream without a word; ``Leave`` is the consumer's to say."""
        self._outbox.close()
        self._reader.cancel()
        self._outbox.join(_CANCEL_TIMEOUT_S)
        try:
            self._writer.close()
        except ARROW_ERRORS:
            pass  # cancelled, as it was told

    def _note_commit(self, commit: wire.Commit) -> None:
        self.inbox.begin_commit(commit.request_id, {entry.partition: entry.next_offset for entry in commit.entries})

    def _wait(self, done: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: done() or self.failure is not None, _REPLY_TIMEOUT_S):
                raise Timeout(f"no answer from the server for {_REPLY_TIMEOUT_S:.0f} s", "timeout")
            if not done() and self.failure is not None:
                raise self.failure

    def _read(self) -> None:
        failure: MillstreamError = Unavailable("the server ended the stream", "retry")
        try:
            while True:
                chunk = self._reader.read_chunk()
                if chunk.app_metadata is None:
                    continue
                reply = wire.ConsumerReply.FromString(chunk.app_metadata.to_pybytes())
                if reply.HasField("end"):
                    failure = _end(reply.end)
                    break
                self._handle(reply, chunk.data)
        except StopIteration:
            pass
        except ARROW_ERRORS as error:
            failure = self._call.error(error)
        except MillstreamError as error:
            failure = error
        except Exception as error:  # the thread must not end unheard: polls would wait for ever
            _log.exception("the stream of %s broke on an error of this client's", self.topic)
            failure = MillstreamError(f"an error of this client's in the stream of {self.topic!r}: {error!r}")
        with self._changed:
            succeeded = isinstance(failure, SchemaChanged)
            rejoins = isinstance(failure, (Fenced, Unavailable)) and not succeeded
            self.inbox.end(rejoins)
            self.failure = failure
            self._changed.notify_all()
        if not succeeded:
            # The server keeps the call open until we have heard how it ended.
            self._reader.cancel()

    def _handle(self, reply: wire.ConsumerReply, data: pa.RecordBatch | None) -> None:
        """Takes one message in. Kinds that this client does not know are passed over."""
        kind = reply.WhichOneof("reply")
        message: Any = getattr(reply, kind) if kind else None
        due = Due()
        with self._changed:
            if kind == "welcome":
                self.welcome = message
                self.schema = pa.ipc.read_schema(pa.py_buffer(message.schema))
            elif kind == "assignment":
                due = self.inbox.assign(message)
            elif kind == "batch":
                due = self._take_in(message, data)
            elif kind == "failed":
                taken = Taken(message.partition, message.offset, error=error_of(message.error))
                due = self.inbox.receive(self.inbox.generation, message.offset, taken)
            elif kind == "seek_ack":
                due = self.inbox.sought(message)
            elif kind == "commit_ack":
                self.inbox.commit_answered(message)
            elif kind == "offsets":
                self.inbox.answered(message)
            self._changed.notify_all()
        self._outbox.credit(due.credit)
        if due.resume:
            self._outbox.push(wire.ConsumerRequest(resume=wire.Resume(partitions=due.resume)))

    def _take_in(self, header: wire.Batch, data: pa.RecordBatch | None) -> Due:
        taken = Taken(header.partition, header.next_offset, header.bytes)
        if data is not None and data.num_rows > 0:
            taken.batch = Batch(
                topic=self.topic,
                partition=header.partition,
                first_offset=header.first_offset,
                next_offset=header.next_offset,
                generation=header.generation,
                data=data,
                offsets=_offsets(header, data.num_rows),
                bytes=header.bytes,
            )
        return self.inbox.receive(header.generation, header.first_offset, taken)


def _offsets(header: wire.Batch, rows: int) -> pa.Int64Array:
    if header.offset_deltas:
        return pc.cumulative_sum(pa.array(header.offset_deltas, pa.int64()), start=header.first_offset)
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), rows), start=header.first_offset - 1)


def _end(end: wire.End) -> MillstreamError:
    if end.reason == wire.END_REASON_ERROR:
        return error_of(end.error)
    if end.reason == wire.END_REASON_SHUTDOWN:
        return Unavailable("the server is shutting down", "retry")
    if end.reason == wire.END_REASON_SCHEMA_CHANGED:
        return SchemaChanged("the topic's columns changed; poll to go on", "retry")
    return MillstreamError(wire.EndReason.Name(end.reason).removeprefix("END_REASON_").lower().replace("_", " "), "ended")
