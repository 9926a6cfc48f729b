"""An idempotent producer, for asyncio."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Any

import pyarrow as pa

from .. import producer as sync
from .._batches import parts, to_batches
from .._put import END_TIMEOUT_S
from .._queue import Ack, Answer
from ..errors import MillstreamError
from ._consumer import _from_a_thread

#: Larger batches are converted and cut by a thread.
_SMALL_BYTES = 1 << 18


class _Told(asyncio.Future[Ack]):
    """The answer to a batch, which knows whether anybody has looked at its error."""

    def __init__(self, answer: Answer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._answer = answer

    def __await__(self) -> Generator[Any, None, Ack]:
        self._answer.seen = True
        return super().__await__()

    __iter__ = __await__

    def result(self) -> Ack:
        self._answer.seen = True
        return super().result()

    def exception(self) -> BaseException | None:
        self._answer.seen = True
        return super().exception()

    def tell(self) -> None:
        """Takes the answer over, which is there."""
        seen = self._answer.seen
        if not self.done():
            error = self._answer.exception()
            if error is None:
                self.set_result(self._answer.result())
            else:
                self.set_exception(error)
                super().exception()  # asyncio is not to complain: flush does, if nobody looks
        self._answer.seen = seen


class Producer:
    """As :class:`millstream.Producer`, whose parameters it takes::

        async with aio.Producer("flights") as producer:
            await producer.send(rows)

    :meth:`send` waits for room only, and sends of several tasks go in the order in which they were called. A send that is
    cancelled while it waits has sent nothing of the batches that waited; what was sent is not called back, also not by
    cancelling its future. A block whose body raises, or is cancelled, gives what was sent half a minute to be answered."""

    def __init__(self, table: str, config: Mapping[str, Any] | None = None) -> None:
        self._sync = sync.Producer(table, config)
        self._order = asyncio.Lock()
        self._waiting: set[asyncio.Event] = set()

    @property
    def producer_id(self) -> uuid.UUID:
        """The stream's id; with the sequence it makes appends idempotent."""
        return self._sync.producer_id

    async def send(self, rows: Any, *, partition: int | None = None) -> list[asyncio.Future[Ack]]:
        """As :meth:`millstream.Producer.send`, and gives futures of asyncio."""
        async with self._order:
            batches = await _converted(rows)
            return [await self._send(cut, partition) for cut in batches]

    async def append(self, rows: Any, *, partition: int | None = None) -> list[Ack]:
        """As :meth:`send`, and waits until the rows are durable."""
        return [await future for future in await self.send(rows, partition=partition)]

    async def flush(self, timeout_s: float | None = None) -> int:
        """As :meth:`millstream.Producer.flush`."""
        await self._until(lambda: not len(self._sync._queue), timeout_s)
        return self._sync.flush(0)

    async def close(self, timeout_s: float | None = None) -> None:
        """As :meth:`millstream.Producer.close`."""
        try:
            await self.flush(timeout_s)
        finally:
            await asyncio.to_thread(self._sync.close, 0)

    async def __aenter__(self) -> Producer:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            await self.close()
            return
        try:
            await self.close(END_TIMEOUT_S)
        except MillstreamError:
            pass  # the body's error is the one to be told

    # ---- within ----

    async def _send(self, cut: list[pa.RecordBatch], partition: int | None) -> asyncio.Future[Ack]:
        await self._until(self._sync._takes_batches, None)
        with self._sync._changed:
            answer = self._sync._push(cut, partition)
        loop = asyncio.get_running_loop()
        told = _Told(answer, loop)
        answer.add_done_callback(lambda _: _from_a_thread(loop, lambda: self._answered(told)))
        return told

    def _answered(self, told: _Told) -> None:
        told.tell()
        for event in self._waiting:
            event.set()

    async def _until(self, done: Callable[[], bool], timeout_s: float | None) -> None:
        """Waits for a state that comes with answers, or for the end of the time."""
        event = asyncio.Event()
        self._waiting.add(event)

        async def wait() -> None:
            while True:
                event.clear()
                with self._sync._changed:
                    if done():
                        return
                await event.wait()

        try:
            await asyncio.wait_for(wait(), timeout_s) if timeout_s is not None else await wait()
        except asyncio.TimeoutError:
            pass
        finally:
            self._waiting.discard(event)


async def _converted(rows: Any) -> list[list[pa.RecordBatch]]:
    """The parts of each batch."""
    if isinstance(rows, pa.RecordBatch) and rows.nbytes <= _SMALL_BYTES:
        return [parts(rows)]
    return await asyncio.to_thread(lambda: [parts(batch) for batch in to_batches(rows)])
