"""Where one partition stands for this member."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._wire import millstream_v1_pb2 as wire

#: A topic, and the number of one of its partitions.
Partition = tuple[str, int]


@dataclass
class Held:
    """A partition in this member's hands."""

    #: The generation from which on it has been held.
    since: int
    start: int
    #: The next offset that a poll gives; None until the server has said or sent it.
    position: int | None
    #: What the group has committed, as far as this client knows.
    committed: int | None
    #: What the newest commit that was sent wants to commit.
    asked: int | None = None
    #: Behind the rows that polls have given and no commit has taken.
    uncommitted: int | None = None
    paused: bool = False
    #: Rows were thrown away while it was paused, so that the server stands ahead of ``position``.
    rewind: bool = False

    @classmethod
    def new(cls, state: wire.PartitionState) -> Held:
        position = state.position if state.HasField("position") else None
        return cls(state.since_generation, state.start, position, _committed(state))

    def kept(self, state: wire.PartitionState) -> Held:
        """The same after the server has said anew where it stands."""
        return replace(self, start=state.start, committed=_committed(state))

    def goes_on(self, now: Held) -> bool:
        """Whether what was given out before a break still counts: nobody has moved the group's offset since."""
        return now.committed == self.committed or (now.committed is not None and now.committed == self.asked)

    @property
    def next_offset(self) -> int:
        """What a poll will give next, as far as it is known."""
        known = (offset for offset in (self.position, self.committed) if offset is not None)
        return next(known, self.start)


def _committed(state: wire.PartitionState) -> int | None:
    return state.committed if state.HasField("committed") else None
