"""A member of a consumer group, for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, Union

from .. import consumer as sync
from .._partition import Partition
from .._polls import Found
from ..batch import Batch
from ._jobs import Jobs, TaskLock

#: A function or coroutine function; called with the consumer and the partitions.
OnPartitions = Callable[["Consumer", list[Partition]], Union[Awaitable[None], None]]

_T = TypeVar("_T")


class Consumer:
    """As :class:`millstream.Consumer`, whose parameters it takes, and an asynchronous iterator of batches::

        async with aio.Consumer({"group.id": "desk"}) as consumer:
            await consumer.subscribe(["late_departures"])
            async for batch in consumer:
                ...

    Several tasks may call it, one for taking batches and another for committing them, say; their calls take turns, and a poll
    that waits lets the others go first. A call that is cancelled while it waits gives no batch out, and none is
    lost or committed by it; a commit, seek or close that was begun goes on, and the next call waits for its end. (Await polls
    directly, with a time-out of their own: ``asyncio.wait_for`` of Python before 3.12 may drop a result when it is cancelled
    itself.) A block whose body raises, or is cancelled, commits nothing of what it was given."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._sync = sync.Consumer(config)
        self._jobs = Jobs("millstream-aio-consumer")
        self._turn = TaskLock()
        self._closing = False
        self._on_assign: OnPartitions | None = None
        self._on_revoke: OnPartitions | None = None

    async def subscribe(
        self, topics: Sequence[str], *, on_assign: OnPartitions | None = None, on_revoke: OnPartitions | None = None
    ) -> None:
        """As :meth:`millstream.Consumer.subscribe`. The callbacks may be coroutine functions, and make calls of this consumer."""
        async with self._turn:
            self._sync._require_open()
            await self._revoke_all()
            self._on_assign, self._on_revoke = on_assign, on_revoke
            await self._jobs.run(self._sync.subscribe, topics)

    async def unsubscribe(self) -> None:
        """As :meth:`millstream.Consumer.unsubscribe`."""
        async with self._turn:
            if self._sync._closed.is_set():
                return
            try:
                await self._revoke_all()
            finally:
                await self._jobs.run(self._sync.unsubscribe)

    def assignment(self) -> list[Partition]:
        """The (topic, partition) pairs this member owns."""
        return self._sync.assignment()

    async def poll(self, timeout_s: float | None = 1.0) -> Batch | None:
        """As :meth:`millstream.Consumer.poll`; ``None`` seconds wait until there is a batch or the consumer is closed."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        loop, found = asyncio.get_running_loop(), asyncio.Event()
        polls, first, was_open = self._sync._polls, True, not self._closing

        def wake() -> None:
            _from_a_thread(loop, found.set)

        with polls.heartbeat:
            with polls.changed:
                polls.changed.wakes.append(wake)
            try:
                while True:
                    found.clear()
                    async with self._turn:
                        if self._closing and was_open:
                            return None
                        batch = await self._step(first, deadline)
                    if batch is not None:
                        return batch
                    first = False
                    # While there is nothing other tasks have their turn: they commit what polls have given.
                    if not await _set_by(found, deadline):
                        return None
            finally:
                with polls.changed:
                    polls.changed.wakes.remove(wake)

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Batch:
        """Batches for ever, until :meth:`close`."""
        while not self._closing:
            batch = await self.poll(None)
            if batch is not None:
                return batch
        raise StopAsyncIteration

    async def commit(self, batch: Batch | None = None, *, offsets: Mapping[Partition, int] | None = None) -> None:
        """As :meth:`millstream.Consumer.commit`."""
        await self._call(self._sync.commit, batch, offsets=offsets)

    async def committed(self) -> dict[Partition, int | None]:
        """As :meth:`millstream.Consumer.committed`."""
        return await self._call(self._sync.committed)

    def position(self) -> dict[Partition, int]:
        """The next offset that :meth:`poll` will give, of each owned partition."""
        return self._sync.position()

    async def offsets(self) -> dict[Partition, tuple[int, int]]:
        """As :meth:`millstream.Consumer.offsets`."""
        return await self._call(self._sync.offsets)

    async def seek(self, topic: str, partition: int, to: int | str) -> int:
        """As :meth:`millstream.Consumer.seek`."""
        return await self._call(self._sync.seek, topic, partition, to)

    async def seek_to_time(self, topic: str, partition: int, append_time_us: int) -> int:
        """As :meth:`millstream.Consumer.seek_to_time`."""
        return await self._call(self._sync.seek_to_time, topic, partition, append_time_us)

    async def pause(self, topic: str, partitions: Sequence[int]) -> None:
        """As :meth:`millstream.Consumer.pause`."""
        await self._call(self._sync.pause, topic, partitions)

    async def resume(self, topic: str, partitions: Sequence[int]) -> None:
        """As :meth:`millstream.Consumer.resume`."""
        await self._call(self._sync.resume, topic, partitions)

    async def close(self) -> None:
        """As :meth:`millstream.Consumer.close`. Polls that wait, in other tasks, give None, and iterations end."""
        self._interrupt()
        async with self._turn:
            try:
                await self._revoke_all()
            finally:
                await self._end(self._sync.close)

    async def __aenter__(self) -> Consumer:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            await self.close()
            return
        self._interrupt()
        async with self._turn:
            await self._end(self._sync._abandon)

    # ---- within ----

    async def _call(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        async with self._turn:
            self._sync._require_open()
            return await self._jobs.run(call, *arguments, **named)

    async def _step(self, first: bool, deadline: float | None) -> Batch | None:
        """What there is for a poll now, after mending what is broken. Of a batch nothing is awaited any more once it is taken,
        so that it arrives."""
        await self._jobs.settle()
        self._sync._require_subscription()
        polls = self._sync._polls
        if first:
            polls.commit_when_due()
        while True:
            with polls.changed:
                look = polls.look()
            if look is Found.NOTHING or (look is Found.BROKEN and not await self._mended(deadline)):
                return None
            if look is Found.SOMETHING:
                gone, come = polls.changes()
                if gone:
                    await self._callback(self._on_revoke, gone)
                if come:
                    await self._callback(self._on_assign, come)
                batch = polls.take()
                if batch is not None:
                    return batch

    async def _mended(self, deadline: float | None) -> bool:
        member = self._sync._member
        member.interrupted = False
        try:
            return await self._jobs.run(self._sync._polls.mend, float("inf") if deadline is None else deadline)
        except asyncio.CancelledError:
            # Whoever comes next waits for the thread: it is to come back soon.
            self._wake_mending()
            raise

    def _wake_mending(self) -> None:
        member = self._sync._member
        with member.changed:
            member.interrupted = True
            member.changed.notify_all()

    def _interrupt(self) -> None:
        self._closing = True
        self._wake_mending()

    async def _revoke_all(self) -> None:
        await self._jobs.settle()
        told = self._sync._polls.forget()
        if told:
            await self._callback(self._on_revoke, told)

    async def _callback(self, callback: OnPartitions | None, partitions: list[Partition]) -> None:
        if callback is not None:
            done = callback(self, partitions)
            if inspect.isawaitable(done):
                await done

    async def _end(self, end: Callable[[], None]) -> None:
        await self._jobs.settle()
        if self._sync._closed.is_set():
            return
        try:
            await self._jobs.run(end)
        finally:
            self._jobs.close()


async def _set_by(event: asyncio.Event, deadline: float | None) -> bool:
    """Waits for the event; False if the deadline (monotonic) came first."""
    try:
        await asyncio.wait_for(event.wait(), None if deadline is None else deadline - time.monotonic())
    except asyncio.TimeoutError:
        return False
    return True


def _from_a_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # the loop is closed, and nobody waits any more
