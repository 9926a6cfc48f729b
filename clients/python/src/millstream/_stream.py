"""One DoExchange stream: a topic of a member. A thread reads it; what it reads waits, bounded by credit, for a poll."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.flight as flight

from ._wire import millstream_v1_pb2 as wire
from .batch import Batch
from .errors import MillstreamError, Unavailable, from_arrow, of_kind

_REPLY_TIMEOUT_S = 30.0


class TopicStream:
    """Owns one stream. ``changed`` is the consumer's condition: notified whenever a poll may find something new."""

    def __init__(self, open_stream: Callable[[], Any], hello: wire.Hello, changed: threading.Condition):
        self.topic = hello.topic
        self.welcome: wire.Welcome | None = None
        self.schema: pa.Schema | None = None
        self.partitions: dict[int, wire.PartitionState] = {}
        self.generation = 0
        self.failure: MillstreamError | None = None
        self._changed = changed
        self._ready: deque[tuple[Batch | None, wire.Batch]] = deque()
        self._requests = itertools.count(1)
        self._replies: dict[int, Any] = {}
        self._seeking: dict[int, int] = {}
        self._write_lock = threading.Lock()
        self._assigned = False
        self._writer, self._reader = open_stream()
        self.send(wire.ConsumerRequest(hello=hello))
        threading.Thread(target=self._read, daemon=True, name=f"millstream-{self.topic}").start()
        self._wait(lambda: self.welcome is not None and self._assigned)

    def send(self, request: wire.ConsumerRequest) -> None:
        """Writes one control message."""
        try:
            with self._write_lock:
                self._writer.write_metadata(request.SerializeToString())
        except pa.ArrowException as error:
            raise self.failure or from_arrow(error) from error

    def ask(self, **request: Any) -> Any:
        """Sends a request that has an id and gives its reply; raises what the server answered."""
        number = next(self._requests)
        (name, message), = request.items()
        message.request_id = number
        if name == "seek":
            with self._changed:
                self._seeking[message.partition] = number
        self.send(wire.ConsumerRequest(**{name: message}))
        self._wait(lambda: number in self._replies)
        with self._changed:
            reply = self._replies.pop(number)
        if reply.DESCRIPTOR.fields_by_name.get("error") and reply.HasField("error"):
            raise _error(reply.error)
        return reply

    def take(self) -> Batch | wire.Batch | None:
        """The next batch that waits, returning its credit; a bare ``wire.Batch`` only moves the position. The caller
        holds the condition."""
        if not self._ready:
            return None
        batch, header = self._ready.popleft()
        return batch if batch is not None else header

    def give_credit(self, count: int) -> None:
        """Lets the server send ``count`` bytes more. A broken stream needs none, and what was taken from it stays good: the
        next look at the stream finds the reason."""
        if count:
            try:
                self.send(wire.ConsumerRequest(credit=wire.Credit(bytes=count)))
            except MillstreamError:
                pass

    def drop(self, unwanted: Callable[[int], bool]) -> int:
        """Forgets waiting batches of partitions; gives the bytes to credit. The caller holds the condition."""
        freed = sum(header.bytes for _, header in self._ready if unwanted(header.partition))
        self._ready = deque(item for item in self._ready if not unwanted(item[1].partition))
        return freed

    def close(self) -> None:
        """Ends the stream without a word; ``Leave`` is the consumer's to say."""
        self._reader.cancel()

    def _wait(self, done: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: done() or self.failure is not None, _REPLY_TIMEOUT_S):
                raise Unavailable(f"no answer from the server for {_REPLY_TIMEOUT_S:.0f} s", "retry")
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
                credit = self._handle(reply, chunk.data)
                self.give_credit(credit)
        except StopIteration:
            pass
        except pa.ArrowException as error:
            failure = from_arrow(error)
        except MillstreamError as error:
            failure = error
        with self._changed:
            self.failure = failure
            self._changed.notify_all()

    def _handle(self, reply: wire.ConsumerReply, data: pa.RecordBatch | None) -> int:
        """Takes one message in; gives bytes of credit for what is dropped at once."""
        kind = reply.WhichOneof("reply")
        message = getattr(reply, kind) if kind else None
        credit = 0
        with self._changed:
            if kind == "welcome":
                self.welcome = message
                self.schema = pa.ipc.read_schema(pa.py_buffer(message.schema))
            elif kind == "assignment":
                self.generation = message.generation
                before = self.partitions
                self.partitions = {state.partition: state for state in message.partitions}
                for partition in self.partitions.keys() & before.keys():
                    # Of a partition that stays, the server names the position of what it has sent already.
                    self.partitions[partition].position = before[partition].position
                self._assigned = True
                credit = self.drop(lambda partition: partition not in self.partitions)
            elif kind == "batch":
                credit = self._take_in(message, data)
            elif kind == "seek_ack":
                if self._seeking.get(message.partition) == message.request_id:
                    del self._seeking[message.partition]
                    credit = self.drop(lambda partition: partition == message.partition)
                self._replies[message.request_id] = message
            elif kind in ("commit_ack", "offsets", "heartbeat_ack"):
                if message.request_id:
                    self._replies[message.request_id] = message
            self._changed.notify_all()
        return credit

    def _take_in(self, header: wire.Batch, data: pa.RecordBatch | None) -> int:
        if header.partition in self._seeking or header.partition not in self.partitions:
            return header.bytes
        batch = None
        if data is not None and data.num_rows > 0:
            batch = Batch(
                topic=self.topic,
                partition=header.partition,
                first_offset=header.first_offset,
                next_offset=header.next_offset,
                generation=header.generation,
                data=data,
                offsets=_offsets(header, data.num_rows),
                bytes=header.bytes,
            )
        self._ready.append((batch, header))
        return 0


def _offsets(header: wire.Batch, rows: int) -> pa.Int64Array:
    if header.offset_deltas:
        return pc.cumulative_sum(pa.array(header.offset_deltas, pa.int64()), start=header.first_offset)
    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), rows), start=header.first_offset - 1)


def _error(error: wire.Error) -> MillstreamError:
    return of_kind(wire.ErrorKind.Name(error.kind).removeprefix("ERROR_KIND_").lower(), error.message)


def _end(end: wire.End) -> MillstreamError:
    if end.reason == wire.END_REASON_ERROR:
        return _error(end.error)
    if end.reason == wire.END_REASON_SHUTDOWN:
        return Unavailable("the server is shutting down", "retry")
    return MillstreamError(wire.EndReason.Name(end.reason).removeprefix("END_REASON_").lower().replace("_", " "), "ended")
