"""What the application was told of the partitions that are this member's."""

from __future__ import annotations

from collections.abc import Mapping

from ._partition import Partition
from ._stream import TopicStream


class Assignments:
    """Compares what the streams hold with what was told last. Every method is called under the consumer's lock."""

    def __init__(self) -> None:
        #: The generation from which on each partition has been held.
        self._told: dict[Partition, int] = {}
        self._seen: tuple[tuple[TopicStream, int], ...] = ()

    def told(self) -> list[Partition]:
        """What the application takes for its own."""
        return sorted(self._told)

    def changed(self, streams: Mapping[str, TopicStream]) -> bool:
        """Whether there is something to tell."""
        seen = tuple((stream, stream.inbox.generation) for stream in streams.values())
        if seen == self._seen:
            return False
        changed = _owned(streams) != self._told
        if not changed:
            self._seen = seen
        return changed

    def tell(self, streams: Mapping[str, TopicStream]) -> tuple[list[Partition], list[Partition]]:
        """What is no longer this member's, and what has become so. A partition that was another's in between is both, and so
        is one whose offset was set, or that was joined for again: what came before is void."""
        before, now = self._told, _owned(streams)
        self._told = now
        gone = sorted(partition for partition, since in before.items() if now.get(partition) != since)
        return gone, sorted(partition for partition, since in now.items() if before.get(partition) != since)

    def forget(self) -> list[Partition]:
        """Nothing is this member's any more; gives what was."""
        told, self._told, self._seen = self.told(), {}, ()
        return told


def _owned(streams: Mapping[str, TopicStream]) -> dict[Partition, int]:
    return {(topic, number): held.since for topic, stream in streams.items() for number, held in stream.inbox.partitions.items()}
