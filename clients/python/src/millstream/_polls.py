"""What a poll does, step by step; none but :meth:`Polls.mend` waits for the network."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Mapping
from typing import Any

from ._assignments import Assignments
from ._heartbeat import Heartbeat
from ._membership import Membership
from ._partition import Partition
from ._stream import TopicStream
from ._wire import millstream_v1_pb2 as wire
from .batch import Batch
from .errors import MillstreamError

_log = logging.getLogger("millstream.consumer")


class Found(enum.Enum):
    """What a poll finds."""

    #: Rows, an error, or partitions to tell of.
    SOMETHING = enum.auto()
    NOTHING = enum.auto()
    #: Streams that are to be opened anew first.
    BROKEN = enum.auto()


class Polls:
    """The steps. A poll is a block of ``heartbeat``: :meth:`commit_when_due`, then :meth:`look` until there is something,
    :meth:`changes`, and :meth:`take`."""

    def __init__(self, settings: Mapping[str, Any], member: Membership, heartbeat: Heartbeat) -> None:
        self._settings = settings
        self._member = member
        self.heartbeat = heartbeat
        self.changed = member.changed
        self._assignments = Assignments()
        self._last_commit = time.monotonic()

    def wait(self, deadline: float) -> bool:
        """Waits until there is something to take or to tell, and mends what is broken; False if the deadline (monotonic) came
        first."""
        with self.heartbeat:
            self.commit_when_due()
            while True:
                with self.changed:
                    found = self.look()
                    if found is Found.SOMETHING:
                        return True
                    if found is Found.NOTHING:
                        left = deadline - time.monotonic()
                        if left <= 0:
                            return False
                        self.changed.wait(left)
                        continue
                if not self.mend(deadline):
                    return False

    def look(self) -> Found:
        """What there is. Holds the condition."""
        if not self._member.is_joined():
            return Found.BROKEN
        if self._member.has_something() or self._assignments.changed(self._member.streams):
            return Found.SOMETHING
        return Found.NOTHING if self._member.ended() is None else Found.BROKEN

    def mend(self, deadline: float) -> bool:
        """Mends what is broken; False if the deadline (monotonic) came first. Raises what can't be mended."""
        if not self._member.is_joined():
            return self._member.mend(deadline)
        with self.changed:
            ended = self._member.ended()
        if ended is not None:
            self._member.stream_ended(ended)
        return True

    def take(self) -> Batch | None:
        """The next batch, if one waits and there is nothing to tell first; raises the error of a partition, if one waits."""
        with self.changed:
            if self._assignments.changed(self._member.streams):
                return None
            found = self._member.take()
        if found is None:
            return None
        stream, taken = found
        if taken.error is not None:
            held = stream.inbox.partitions.get(taken.partition)
            # Whoever polls on after a failure wants to know whether the partition can be read now.
            if held is None or not held.paused:
                stream.retry(taken.partition)
            raise taken.error
        return taken.batch

    def changes(self) -> tuple[list[Partition], list[Partition]]:
        """The partitions that are gone, and those that have come, since this was asked last."""
        with self.changed:
            if not self._assignments.changed(self._member.streams):
                return [], []
            gone, come = self._assignments.tell(self._member.streams)
        _log.info("group %s: partitions gone: %s, come: %s", self._settings["group.id"], gone, come)
        return gone, come

    def forget(self) -> list[Partition]:
        """The member is about to leave; gives the partitions that the application takes for its own."""
        with self.changed:
            return self._assignments.forget()

    def commit_when_due(self) -> None:
        """The automatic commit, which is not waited for: what it could not commit, the next one does."""
        settings, streams = self._settings, list(self._member.streams.values())
        if not settings["enable.auto.commit"]:
            return
        for stream in streams:
            refused, stream.inbox.refused = stream.inbox.refused, None
            if refused is not None:
                raise refused
        if time.monotonic() - self._last_commit < settings["auto.commit.interval.ms"] / 1000:
            return
        self._last_commit = time.monotonic()
        for stream in streams:
            entries = {} if stream.inbox.committing else self.uncommitted(stream)
            if entries:
                try:
                    stream.commit_soon(commit_of(stream, entries))
                except MillstreamError:
                    pass  # on a broken stream; the poll that mends it carries on what is uncommitted

    def uncommitted(self, stream: TopicStream) -> dict[int, int]:
        """What polls have given of each partition and no commit has taken."""
        with self.changed:
            partitions = stream.inbox.partitions.items()
            return {number: held.uncommitted for number, held in partitions if held.uncommitted is not None}


def commit_of(stream: TopicStream, entries: Mapping[int, int]) -> wire.Commit:
    """As of the newest assignment that this client has seen."""
    offsets = [wire.PartitionOffset(partition=number, next_offset=offset) for number, offset in entries.items()]
    return wire.Commit(entries=offsets, generation=stream.inbox.generation)
