"""What a producer has sent, or is still to send, without an answer."""

from __future__ import annotations

import time
import uuid
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

import pyarrow as pa

from ._batches import parts
from ._wire import millstream_v1_pb2 as wire
from .errors import MillstreamError


@dataclass(frozen=True)
class Appended:
    """A run of rows as it lies in the log."""

    partition: int
    first_offset: int
    rows: int


@dataclass(frozen=True)
class Ack:
    """The server's answer to one batch: its rows are durable as ``durability`` says (``sync`` or ``os``)."""

    #: Of the batch, or of the first of its parts.
    sequence: int
    appended: tuple[Appended, ...]
    #: The batch had arrived before, whole; this is the first answer again.
    duplicate: bool
    durability: str
    #: Where a producer of the same id goes on after this batch.
    next_sequence: int = 0


class Answer(Future[Ack]):
    """A future that knows whether anybody has looked at its error."""

    seen = False

    def __init__(self) -> None:
        super().__init__()
        # What was sent can't be called back: cancel() says so, and does nothing.
        self.set_running_or_notify_cancel()

    def result(self, timeout: float | None = None) -> Ack:
        self.seen = True
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.seen = True
        return super().exception(timeout)


@dataclass
class _Part:
    batch: pa.RecordBatch
    partition: int | None
    #: Streams that it was sent on under the stamp that it has now.
    sends: int = 0
    last_of_batch: bool = False


@dataclass
class _Waiting:
    rows: int
    answer: Answer = field(default_factory=Answer)
    acks: list[wire.Ack] = field(default_factory=list)
    rows_appended: int = 0


class Queue:
    """Batches without an answer, oldest first. Sequences rise by one from part to part. A refused part has not used its
    sequence at the server, so it is taken out and all behind it move up by one. Not for several threads at once."""

    def __init__(self, producer_id: uuid.UUID, epoch: int, first_sequence: int):
        self._id = producer_id
        self._epoch = epoch
        self._first_sequence = first_sequence
        self._parts: deque[_Part] = deque()
        self._waiting: deque[_Waiting] = deque()
        #: Since when (monotonic) the oldest part has waited with no other being answered.
        self.since = 0.0
        # A part was refused that an earlier stream had carried too: it may have been appended there, under the sequence that
        # its successor has now.
        self._doubtful = False

    def __len__(self) -> int:
        """Parts without an answer."""
        return len(self._parts)

    @property
    def batches(self) -> int:
        return len(self._waiting)

    @property
    def schema(self) -> pa.Schema | None:
        """Of the oldest part."""
        return self._parts[0].batch.schema if self._parts else None

    def push(self, cut: list[pa.RecordBatch], partition: int | None) -> Answer:
        """Takes the parts of a batch in, and gives what will be its answer."""
        if not self._parts:
            self.since = time.monotonic()
        self._parts.extend(_Part(part, partition) for part in cut)
        self._parts[-1].last_of_batch = True
        self._waiting.append(_Waiting(sum(part.num_rows for part in cut)))
        return self._waiting[-1].answer

    def may_send(self, place: int, schema: pa.Schema) -> bool:
        """Whether there is a part at that place which a stream of this schema can carry."""
        return place < len(self._parts) and self._parts[place].batch.schema == schema

    def send(self, place: int) -> tuple[pa.RecordBatch, bytes]:
        """The part at a place, and its stamp."""
        part = self._parts[place]
        part.sends += 1
        stamp = wire.Append(producer_id=self._id.bytes, epoch=self._epoch, sequence=self._first_sequence + place)
        if part.partition is not None:
            stamp.partition = part.partition
        return part.batch, stamp.SerializeToString()

    def acknowledged(self, ack: wire.Ack) -> tuple[Answer, Ack] | None:
        """Takes in the answer to the oldest part; gives what is to be told if it was its batch's last."""
        if not self._parts or ack.sequence != self._first_sequence:
            raise MillstreamError(f"the server acknowledged sequence {ack.sequence} out of order")
        if self._doubtful and ack.duplicate and self._parts[0].sends == 1:
            raise MillstreamError(
                f"sequence {ack.sequence} was taken by a batch that the server has refused since; what was appended is not known"
            )
        self._doubtful = self._doubtful and ack.duplicate
        self._first_sequence += 1
        self.since = time.monotonic()
        part, waiting = self._parts.popleft(), self._waiting[0]
        waiting.acks.append(ack)
        waiting.rows_appended += part.batch.num_rows
        if not part.last_of_batch:
            return None
        self._waiting.popleft()
        return waiting.answer, _joined(waiting.acks)

    def refuse(self, error: MillstreamError) -> tuple[Answer, MillstreamError]:
        """The oldest part was refused: its batch fails, with what of it has not been appended."""
        self.since = time.monotonic()
        part = self._parts.popleft()
        self._doubtful = self._doubtful or part.sends > 1
        while not part.last_of_batch:
            part = self._parts.popleft()
        for behind in self._parts:
            behind.sends = 0
        return _failed(self._waiting.popleft(), error)

    def fail_all(self, error: MillstreamError) -> list[tuple[Answer, MillstreamError]]:
        """Nothing that waits will be answered."""
        failed = [_failed(waiting, error) for waiting in self._waiting]
        self._parts.clear()
        self._waiting.clear()
        return failed


def _joined(acks: list[wire.Ack]) -> Ack:
    os_only = any(ack.durability == wire.DURABILITY_OS for ack in acks)
    return Ack(
        sequence=acks[0].sequence,
        appended=tuple(Appended(run.partition, run.first_offset, run.rows) for ack in acks for run in ack.appended),
        duplicate=all(ack.duplicate for ack in acks),
        durability="os" if os_only else "sync",
        next_sequence=acks[-1].sequence + 1,
    )


def _failed(waiting: _Waiting, error: MillstreamError) -> tuple[Answer, MillstreamError]:
    if waiting.rows_appended:
        done = f"the batch's first {waiting.rows_appended} of {waiting.rows} rows were appended before that"
        error = type(error)(f"{error}; {done}", error.kind)
    return waiting.answer, error


__all__ = ["Ack", "Answer", "Appended", "Queue", "parts"]
