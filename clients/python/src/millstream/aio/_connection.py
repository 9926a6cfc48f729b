"""SQL, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa

from .. import connection as sync
from .._transport import DEFAULT_URL, Token
from ..errors import FailedPrecondition
from ..result import Result

#: Statements of one connection that run at once; others wait.
_AT_ONCE = 16
_T = TypeVar("_T")


def connect(
    url: str = DEFAULT_URL,
    *,
    user: str | None = None,
    password: str | None = None,
    token: Token | None = None,
    namespace: str | None = None,
    ca_file: str | None = None,
    fingerprint: str | None = None,
    certificate_file: str | None = None,
    key_file: str | None = None,
) -> Connection:
    """A connection for SQL statements; see :class:`millstream.Connection`. Waits for nothing."""
    return Connection(
        url, user=user, password=password, token=token, namespace=namespace, ca_file=ca_file, fingerprint=fingerprint,
        certificate_file=certificate_file, key_file=key_file,
    )


class Connection:
    """As :class:`millstream.Connection`::

        async with aio.connect() as connection:
            result = await connection.query("SELECT count(*) AS n FROM flights")

    Up to 16 statements run at once. Cancelling a query ends it on the server; a statement that changes something may be carried
    out all the same."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        user: str | None = None,
        password: str | None = None,
        token: Token | None = None,
        namespace: str | None = None,
        ca_file: str | None = None,
        fingerprint: str | None = None,
        certificate_file: str | None = None,
        key_file: str | None = None,
    ) -> None:
        self._sync = sync.Connection(
            url, user=user, password=password, token=token, namespace=namespace, ca_file=ca_file, fingerprint=fingerprint,
            certificate_file=certificate_file, key_file=key_file,
        )
        self._threads = ThreadPoolExecutor(_AT_ONCE, "millstream-aio-sql")
        self._closed = False

    async def query(self, sql: str, parameters: Sequence[Any] | None = None, *, timeout_s: float | None = None) -> Result:
        """As :meth:`millstream.Connection.query`."""
        return Result(await self.execute(sql, parameters, timeout_s=timeout_s))

    async def execute(self, sql: str, parameters: Sequence[Any] | None = None, *, timeout_s: float | None = None) -> pa.Table:
        """As :meth:`millstream.Connection.execute`."""
        return await self._read_all(lambda running: self._sync._run(sql, parameters, timeout_s, running))

    async def executemany(self, sql: str, rows: Any, *, timeout_s: float | None = None) -> Result:
        """As :meth:`millstream.Connection.executemany`."""
        return Result(await self._read_all(lambda running: self._sync._run_many(sql, rows, timeout_s, running)))

    async def stream(
        self, sql: str, parameters: Sequence[Any] | None = None, *, timeout_s: float | None = None
    ) -> AsyncGenerator[pa.RecordBatch, None]:
        """Runs one statement and gives its record batches as they come: ``async for batch in connection.stream(…)``. Errors are
        those of :meth:`millstream.Connection.query`."""
        running = sync.Running()
        try:
            reader = await self._in_thread(running, lambda: self._sync._run(sql, parameters, timeout_s, running))
            while (batch := await self._in_thread(running, lambda: next(reader, None))) is not None:
                yield batch
        finally:
            running.cancel()

    async def create_plugin(self, statement: str, module: bytes) -> str:
        """As :meth:`millstream.Connection.create_plugin`."""
        return await self._in_thread(sync.Running(), lambda: self._sync.create_plugin(statement, module))

    async def close(self) -> None:
        """Closes the connection. Statements under way are let end."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._threads, self._sync.close)
        self._threads.shutdown(wait=False)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _read_all(self, start: Callable[[sync.Running], pa.RecordBatchReader]) -> pa.Table:
        running = sync.Running()

        def read() -> pa.Table:
            with start(running) as reader:
                return reader.read_all()

        return await self._in_thread(running, read)

    async def _in_thread(self, running: sync.Running, call: Callable[[], _T]) -> _T:
        if self._closed:
            raise FailedPrecondition("the connection is closed", "failed_precondition")
        job = asyncio.get_running_loop().run_in_executor(self._threads, call)
        try:
            await asyncio.wait({job})
        except asyncio.CancelledError:
            running.cancel()
            job.add_done_callback(lambda job: job.cancelled() or job.exception())
            raise
        return job.result()
