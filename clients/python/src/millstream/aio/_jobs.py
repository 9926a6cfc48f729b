"""Calls that wait for the network, on a thread, while the event loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

_T = TypeVar("_T")


class Jobs:
    """One call at a time. A caller that is cancelled leaves its call to end by itself, and the next one waits for that, so
    that two calls never overlap."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._running: asyncio.Future[Any] | None = None

    async def settle(self) -> None:
        """Waits for a call whose caller was cancelled."""
        if self._running is not None and not self._running.done():
            await asyncio.wait({self._running})
        self._running = None

    async def run(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """Gives what the call returns, or raises what it raises."""
        await self.settle()
        running = asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*arguments, **named))
        running.add_done_callback(_looked_at)
        self._running = running
        await asyncio.wait({running})
        self._running = None
        return running.result()

    def close(self) -> None:
        """Ends the thread once its call has ended."""
        self._thread.shutdown(wait=False)


def _looked_at(job: asyncio.Future[Any]) -> None:
    """Nobody may be there to hear of an error: whoever was has been cancelled."""
    if not job.cancelled():
        job.exception()


class TaskLock:
    """Held by one task at a time, which may take it again: its callbacks make calls, too."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._owner: asyncio.Task[Any] | None = None
        self._depth = 0

    async def __aenter__(self) -> None:
        if self._owner is None or self._owner is not asyncio.current_task():
            await self._lock.acquire()
            self._owner = asyncio.current_task()
        self._depth += 1

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._lock.release()
