"""What one stream has received and nobody has taken yet, and where its partitions stand."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Any

from ._partition import Held
from ._wire import millstream_v1_pb2 as wire
from .batch import Batch
from .errors import Fenced, MillstreamError, Unavailable, of_kind


@dataclass
class Taken:
    """Something on its way to the caller: a batch, an error of one partition, or, with neither, a move of the position."""

    partition: int
    next_offset: int
    bytes: int = 0
    batch: Batch | None = None
    error: MillstreamError | None = None


@dataclass
class Due:
    """What is to be sent because of what was received."""

    credit: int = 0
    resume: tuple[int, ...] = ()


class Inbox:
    """Bounded by the credit that was given. Every method is called under the consumer's lock."""

    def __init__(self, held: dict[int, Held]):
        self.partitions: dict[int, Held] = held
        self.generation = 0
        self.assigned = False
        self.replies: dict[int, Any] = {}
        #: Requests that somebody waits for; other answers are not kept.
        self.asked: set[int] = set()
        #: Commits under way: next offsets by partition.
        self.committing: dict[int, dict[int, int]] = {}
        #: Why an automatic commit was refused.
        self.refused: MillstreamError | None = None
        self._ready: deque[Taken] = deque()

    def has_something(self) -> bool:
        """Whether :meth:`take` gives something."""
        return bool(self._ready)

    def take(self) -> Taken | None:
        """The next thing for the caller; the position is behind it then."""
        if not self._ready:
            return None
        taken = self._ready.popleft()
        held = self.partitions.get(taken.partition)
        if held is not None and taken.error is None:
            held.position = held.uncommitted = taken.next_offset
        return taken

    def end(self, rejoins: bool) -> None:
        """The stream is over. If the member has to join again, rows that wait are thrown away: its partitions may be another's
        already, who commits them. Positions stay where polls have come to."""
        if rejoins:
            self._ready.clear()

    def begin_commit(self, number: int, entries: dict[int, int]) -> None:
        """Notes a commit that is about to be sent."""
        self.committing[number] = entries
        for partition, offset in entries.items():
            if partition in self.partitions:
                self.partitions[partition].asked = offset

    def pause(self, partition: int) -> int:
        """Throws away what waits of a partition and what will still come, until it is resumed; gives its credit."""
        held = self.partitions.get(partition)
        if held is None:
            return 0
        held.paused = True
        before = len(self._ready)
        credit = self._throw_away({partition})
        held.rewind = held.rewind or len(self._ready) < before
        return credit

    def receive(self, generation: int, first_offset: int, taken: Taken) -> Due:
        """Takes in rows, a move of the position, or the failure of a partition."""
        held = self.partitions.get(taken.partition)
        if held is None or generation < held.since:
            return Due(credit=taken.bytes)
        if held.position is None:
            held.position = first_offset
        if held.paused:
            held.rewind = True
            return Due(credit=taken.bytes)
        self._ready.append(taken)
        return Due()

    def assign(self, assignment: wire.Assignment) -> Due:
        """Takes in an assignment."""
        before = self.partitions
        self.generation, self.assigned = assignment.generation, True
        self.partitions = {}
        for state in assignment.partitions:
            held = before.get(state.partition)
            if held is not None and held.since == state.since_generation:
                self.partitions[state.partition] = held.kept(state)
            else:
                self.partitions[state.partition] = Held.new(state)
        gone = {
            partition
            for partition, held in before.items()
            if partition not in self.partitions or self.partitions[partition].since != held.since
        }
        resume = tuple(partition for partition in gone if before[partition].paused)
        return Due(self._throw_away(gone), resume)

    def sought(self, ack: wire.SeekAck) -> Due:
        """The server goes on elsewhere: what waits of the partition is from before."""
        self._answer(ack.request_id, ack)
        if ack.HasField("error"):
            return Due()
        held = self.partitions.get(ack.partition)
        if held is not None:
            if held.position != ack.offset:
                held.uncommitted = None
            held.position, held.rewind = ack.offset, False
        return Due(credit=self._throw_away({ack.partition}))

    def commit_answered(self, ack: wire.CommitAck) -> None:
        """Takes in the answer to a commit."""
        entries = self.committing.pop(ack.request_id, {})
        waited_for = ack.request_id in self.asked
        self._answer(ack.request_id, ack)
        if ack.HasField("error"):
            error = error_of(ack.error)
            # Fenced: the assignment that says what is still held is on its way, and the next commit takes that.
            if not waited_for and not isinstance(error, (Fenced, Unavailable)):
                self.refused = error
            return
        for partition, offset in entries.items():
            held = self.partitions.get(partition)
            if held is not None:
                held.committed = offset
                if held.uncommitted == offset:
                    held.uncommitted = None

    def answered(self, reply: wire.OffsetsReply) -> None:
        """Takes in any other answer."""
        self._answer(reply.request_id, reply)

    def copy(self) -> dict[int, Held]:
        """Where all partitions stand."""
        return {partition: replace(held) for partition, held in self.partitions.items()}

    def _answer(self, number: int, reply: object) -> None:
        if number in self.asked:
            self.replies[number] = reply

    def _throw_away(self, partitions: set[int]) -> int:
        freed = sum(taken.bytes for taken in self._ready if taken.partition in partitions)
        self._ready = deque(taken for taken in self._ready if taken.partition not in partitions)
        return freed


def error_of(error: wire.Error) -> MillstreamError:
    """The exception for an error message of the server's."""
    return of_kind(wire.ErrorKind.Name(error.kind).removeprefix("ERROR_KIND_").lower(), error.message)
