"""An idempotent producer: many batches in flight, acknowledged in order, resent after a break."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from ._transport import DEFAULT_URL, call_options, open_client, to_batches
from ._wire import millstream_v1_pb2 as wire
from .errors import InvalidInput, MillstreamError, Unavailable, from_arrow, of_kind

_DEFAULTS: dict[str, Any] = {
    "url": DEFAULT_URL,
    "namespace": "public",
    "user": None,
    "password": None,
    "producer.id": None,
    "producer.epoch": 0,
    "producer.first.sequence": 0,
    "max.in.flight": 32,
    "reconnect.interval.ms": 500,
    "reconnect.count": 20,
}


@dataclass(frozen=True)
class Appended:
    """A run of rows as it lies in the log."""

    partition: int
    first_offset: int
    rows: int


@dataclass(frozen=True)
class Ack:
    """The server's answer to one batch: its rows are durable as ``durability`` says (``sync`` or ``os``)."""

    sequence: int
    appended: tuple[Appended, ...]
    duplicate: bool
    durability: str


@dataclass
class _Pending:
    sequence: int
    batch: pa.RecordBatch
    metadata: bytes
    future: Future[Ack]


class Producer:
    """Appends to one table. Keys: ``url``, ``namespace``, ``user``, ``password``, ``producer.id`` (a UUID; give your own,
    with ``producer.first.sequence``, to go on after a crash without doubled rows), ``producer.epoch``, ``max.in.flight``,
    ``reconnect.interval.ms``, ``reconnect.count``."""

    def __init__(self, table: str, config: Mapping[str, Any] | None = None):
        settings = {**_DEFAULTS, **(config or {})}
        unknown = sorted(set(settings) - set(_DEFAULTS))
        if unknown:
            raise InvalidInput(f"unknown keys {unknown}; known are {sorted(_DEFAULTS)}", "invalid_input")
        self._settings = settings
        self._table = table
        self._id = uuid.UUID(str(settings["producer.id"])) if settings["producer.id"] else uuid.uuid4()
        self._next_sequence = int(settings["producer.first.sequence"])
        self._client = open_client(settings["url"])
        self._options = call_options(settings["user"], settings["password"], self._client)
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._pending: deque[_Pending] = deque()
        self._writer: flight.FlightStreamWriter | None = None
        self._schema: pa.Schema | None = None
        self._stream = 0
        self._recovering = False
        self._failure: MillstreamError | None = None
        self._closed = False

    @property
    def producer_id(self) -> uuid.UUID:
        """The stream's id; with the sequence it makes appends idempotent."""
        return self._id

    def send(self, rows: Any, *, partition: int | None = None) -> list[Future[Ack]]:
        """Queues rows (batch, table, data frame, dictionaries) and gives a future for each batch. Blocks while
        ``max.in.flight`` batches are unacknowledged."""
        return [self._send(batch, partition) for batch in to_batches(rows)]

    def append(self, rows: Any, *, partition: int | None = None) -> list[Ack]:
        """As :meth:`send`, and waits until the rows are durable."""
        return [future.result() for future in self.send(rows, partition=partition)]

    def flush(self) -> None:
        """Waits until every batch sent so far is acknowledged; raises if one failed."""
        with self._changed:
            while self._pending and self._failure is None:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Flushes and ends the stream."""
        if self._closed:
            return
        try:
            self.flush()
        finally:
            with self._lock:
                self._closed = True
                self._stop_stream()
            self._client.close()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, batch: pa.RecordBatch, partition: int | None) -> Future[Ack]:
        with self._changed:
            while len(self._pending) >= int(self._settings["max.in.flight"]) and self._failure is None:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            if self._closed:
                raise InvalidInput("the producer is closed", "failed_precondition")
            if self._schema is not None and self._schema != batch.schema:
                self._drain_for_new_schema()
            stamp = wire.Append(
                producer_id=self._id.bytes, epoch=int(self._settings["producer.epoch"]), sequence=self._next_sequence
            )
            if partition is not None:
                stamp.partition = partition
            self._next_sequence += 1
            pending = _Pending(stamp.sequence, batch, stamp.SerializeToString(), Future())
            self._pending.append(pending)
            self._schema = batch.schema
            if self._writer is not None:
                self._write(pending)
            elif not self._recovering and (problem := self._start_stream()) is not None:
                self._recovering = True
                threading.Thread(target=self._recover, args=(self._stream, problem), daemon=True).start()
            return pending.future

    def _drain_for_new_schema(self) -> None:
        """A Flight stream has one schema: another one needs the old stream answered first."""
        while self._pending and self._failure is None:
            self._changed.wait()
        self._stop_stream()

    def _start_stream(self) -> MillstreamError | None:
        """Opens a stream and sends what is unacknowledged, in order; gives the reason if it can't. Holds the lock."""
        descriptor = flight.FlightDescriptor.for_path(str(self._settings["namespace"]), self._table)
        try:
            writer, reader = self._client.do_put(descriptor, self._schema, self._options)
        except pa.ArrowException as error:
            return from_arrow(error)
        self._stream += 1
        self._writer = writer
        threading.Thread(target=self._read_acks, args=(reader, writer, self._stream), daemon=True).start()
        for pending in list(self._pending):
            self._write(pending)
        return None

    def _write(self, pending: _Pending) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write_with_metadata(pending.batch, pending.metadata)
        except pa.ArrowException:
            # The reader of acknowledgements learns the reason and resends.
            self._writer = None

    def _stop_stream(self) -> None:
        writer, self._writer = self._writer, None
        self._stream += 1
        if writer is not None:
            try:
                # The thread that reads acknowledgements sees the server's end, and closes.
                writer.done_writing()
            except pa.ArrowException:
                pass  # every batch has its answer already

    def _read_acks(self, reader: flight.FlightMetadataReader, writer: flight.FlightStreamWriter, stream: int) -> None:
        problem: MillstreamError = Unavailable("the server ended the stream", "retry")
        try:
            while (buffer := reader.read()) is not None:
                ack = wire.Ack.FromString(buffer.to_pybytes())
                if ack.HasField("error"):
                    name = wire.ErrorKind.Name(ack.error.kind).removeprefix("ERROR_KIND_").lower()
                    problem = of_kind(name, ack.error.message)
                    break
                self._acknowledge(ack)
            else:
                problem = self._status_of(writer)
        except pa.ArrowException as error:
            problem = from_arrow(error)
        self._stream_broke(stream, problem)

    @staticmethod
    def _status_of(writer: flight.FlightStreamWriter) -> MillstreamError:
        try:
            writer.close()
        except pa.ArrowException as error:
            return from_arrow(error)
        return Unavailable("the server ended the stream", "retry")

    def _acknowledge(self, ack: wire.Ack) -> None:
        with self._changed:
            if not self._pending or self._pending[0].sequence != ack.sequence:
                return  # an answer to a batch that an earlier stream had answered too
            pending = self._pending.popleft()
            self._changed.notify_all()
        appended = tuple(Appended(run.partition, run.first_offset, run.rows) for run in ack.appended)
        durability = wire.Durability.Name(ack.durability).removeprefix("DURABILITY_").lower()
        pending.future.set_result(Ack(ack.sequence, appended, ack.duplicate, durability))

    def _stream_broke(self, stream: int, problem: MillstreamError) -> None:
        with self._changed:
            if stream != self._stream or self._closed:
                return
            self._writer = None
            if not self._pending:
                self._schema = None
                return
            self._recovering = True
        self._recover(stream, problem)

    def _recover(self, stream: int, problem: MillstreamError) -> None:
        """Tries a new stream until one opens, the tries are used up, or the reason is not one that time mends."""
        for _ in range(int(self._settings["reconnect.count"])):
            if not isinstance(problem, Unavailable):
                break
            time.sleep(int(self._settings["reconnect.interval.ms"]) / 1000)
            with self._changed:
                if stream != self._stream or self._closed:
                    self._recovering = False
                    return
                again = self._start_stream()
                if again is None:
                    self._recovering = False
                    return
                problem = again
        with self._changed:
            self._recovering = False
            self._fail(problem)

    def _fail(self, problem: MillstreamError) -> None:
        """Fails every batch that has no answer. Holds the lock."""
        self._failure = problem
        for pending in self._pending:
            pending.future.set_exception(problem)
        self._pending.clear()
        self._changed.notify_all()
