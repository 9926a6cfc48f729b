"""An idempotent producer: many batches in flight, acknowledged in order, resent after a break."""

from __future__ import annotations

import functools
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any

import pyarrow as pa

from ._backoff import wait_s
from ._batches import parts, to_batches
from ._put import END_TIMEOUT_S, PutStream
from ._queue import Ack, Answer, Appended, Queue
from ._tls import DEFAULTS as _TLS_DEFAULTS
from ._tls import Tls
from ._transport import DEFAULT_URL, LogIn, open_client
from .errors import UNAUTHENTICATED, FailedPrecondition, InvalidInput, MillstreamError, Timeout, Unavailable

_log = logging.getLogger("millstream.producer")
_DEFAULTS: dict[str, Any] = {
    "url": DEFAULT_URL,
    "namespace": "public",
    "user": None,
    "password": None,
    "token": None,
    **_TLS_DEFAULTS,
    "producer.id": None,
    "producer.epoch": 0,
    "producer.first.sequence": 0,
    "max.in.flight": 32,
    "delivery.timeout.ms": 300_000,
    "reconnect.interval.ms": 100,
    "reconnect.max.interval.ms": 10_000,
    "reconnect.count": None,
}
#: Errors that are one batch's, which was not written, and not the producer's.
_OF_ONE_BATCH = {
    "invalid_input", "not_found", "out_of_range", "resource_exhausted", "permission_denied", "unsupported",
}
#: Refused batches that the next flush may still have to tell of: it tells of the first.
_REFUSED_KEPT = 64


class Producer:
    """Appends to one table.

    Batches lie in the table in the order in which they were sent. One that the server refuses (a column that the table does
    not have, a value that does not fit) fails alone, and those behind it go on. A broken connection is mended, and what has
    no answer is sent again; a newer epoch of the producer, and an answer that leaves open what was written, fail everything.

    A server that is away, or starting, is tried again after ``reconnect.interval.ms``, and after waits that double up to
    ``reconnect.max.interval.ms``. The producer gives up, and fails everything, once the oldest batch has waited for
    ``delivery.timeout.ms`` without any other being answered, or before that after ``reconnect.count`` attempts in a row, if that
    is given.

    A batch over 7 MiB is sent in parts of at most 4 MiB, each durable by itself, and acknowledged once all of them are.
    Dictionaries, runs, views and Large* columns are sent as their plain types.

    :param table: its name.
    :param config: ``url``, ``namespace``, ``user`` and ``password`` or ``token`` (see :class:`Connection`), ``ssl.ca.location``,
        ``ssl.fingerprint``, ``ssl.certificate.location`` and ``ssl.key.location`` (as a consumer's), ``producer.id`` (a UUID; give your own, with ``producer.first.sequence``, to go on after
        a crash without doubled rows), ``producer.epoch``, ``max.in.flight``, ``delivery.timeout.ms``, ``reconnect.interval.ms``,
        ``reconnect.max.interval.ms``, ``reconnect.count``.
    :raises InvalidInput: a parameter that does not exist.
    :raises Unavailable: with a fingerprint: the server can't be reached, or shows another certificate."""

    def __init__(self, table: str, config: Mapping[str, Any] | None = None):
        settings = {**_DEFAULTS, **(config or {})}
        unknown = sorted(set(settings) - set(_DEFAULTS))
        if unknown:
            raise InvalidInput(f"unknown keys {unknown}; known are {sorted(_DEFAULTS)}", "invalid_input")
        self._table = table
        self._path = (str(settings["namespace"]), table)
        self._id = uuid.UUID(str(settings["producer.id"])) if settings["producer.id"] else uuid.uuid4()
        self._max_in_flight = max(1, int(settings["max.in.flight"]))
        self._waits_ms = (int(settings["reconnect.interval.ms"]), int(settings["reconnect.max.interval.ms"]))
        self._attempts = None if settings["reconnect.count"] is None else int(settings["reconnect.count"])
        self._timeout_s = int(settings["delivery.timeout.ms"]) / 1000
        self._client = open_client(settings["url"], Tls.of(settings))
        self._log_in = LogIn(settings["user"], settings["password"], settings["token"], self._client)
        self._changed = threading.Condition()
        self._queue = Queue(self._id, int(settings["producer.epoch"]), int(settings["producer.first.sequence"]))
        self._refused: list[tuple[Answer, MillstreamError]] = []
        self._failure: MillstreamError | None = None
        #: What kept the last stream from going on.
        self._trouble: MillstreamError | None = None
        self._closed = False
        self._worker: threading.Thread | None = None

    @property
    def producer_id(self) -> uuid.UUID:
        """The stream's id; with the sequence it makes appends idempotent."""
        return self._id

    def send(self, rows: Any, *, partition: int | None = None) -> list[Future[Ack]]:
        """Queues rows and gives a future for each batch, which ends with the server's answer or its error. Blocks while
        ``max.in.flight`` batches are unacknowledged. What was sent can't be called back: futures are not cancelled.

        :param rows: Arrow data of any library (a batch or table of pyarrow, a data frame of polars, a relation of DuckDB, a
            batch of a consumer's), a pandas data frame, whose index is left out, a dictionary, or an iterable of them.
        :param partition: where all rows go; otherwise the table's key, or turns, say that.
        :raises InvalidInput: these are no rows.
        :raises FailedPrecondition: the producer is closed.
        :raises MillstreamError: the producer has given up before, and why."""
        return [self._send(batch, partition) for batch in to_batches(rows)]

    def append(self, rows: Any, *, partition: int | None = None) -> list[Ack]:
        """As :meth:`send`, and waits until the rows are durable.

        :raises InvalidInput, NotFound, OutOfRange, ResourceExhausted, PermissionDenied, Unsupported: the server has refused
            the batch, of which nothing was appended, unless the message says that parts were.
        :raises Fenced: a newer epoch of this producer is at work.
        :raises Timeout: ``delivery.timeout.ms`` is over; whether the rows were appended is not known."""
        return [future.result() for future in self.send(rows, partition=partition)]

    def flush(self, timeout_s: float | None = None) -> int:
        """Waits until every batch sent so far has its answer, at most for ``timeout_s`` seconds; gives how many have none, which
        go on being sent.

        :raises MillstreamError: a batch has failed and nobody has looked at its future: the first one's error."""
        with self._changed:
            self._changed.wait_for(lambda: not len(self._queue), timeout_s)
            unanswered = self._queue.batches
            refused, self._refused = self._refused, []
        for answer, error in refused:
            if not answer.seen:
                raise error
        return unanswered

    def close(self, timeout_s: float | None = None) -> None:
        """Flushes and ends the stream. What has no answer after ``timeout_s`` seconds fails. A ``with`` block whose body raises
        gives it half a minute. Closing twice is closing once.

        :raises Timeout: that was so, and whether those batches were appended is not known.
        :raises MillstreamError: as :meth:`flush`."""
        if self._closed:
            return
        try:
            unanswered = self.flush(timeout_s)
            if unanswered:
                message = f"the producer was closed while {unanswered} batches had no answer; whether they were appended is not known"
                self._fail(Timeout(message, "timeout"))
                self.flush()
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            if self._worker is not None:
                # After a failure it may be held by a server that does not answer, and nobody waits for what it does.
                self._worker.join(END_TIMEOUT_S if self._failure is None else 0)
            self._client.close()

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close(END_TIMEOUT_S)
        except MillstreamError:
            pass  # the body's error is the one to be told

    def _send(self, batch: pa.RecordBatch, partition: int | None) -> Answer:
        cut = parts(batch)
        with self._changed:
            self._changed.wait_for(self._takes_batches)
            return self._push(cut, partition)

    def _takes_batches(self) -> bool:
        """Whether there is room for one, or never will be. Holds the condition."""
        return self._queue.batches < self._max_in_flight or self._failure is not None or self._closed

    def _push(self, cut: list[pa.RecordBatch], partition: int | None) -> Answer:
        """Queues the parts of a batch. Holds the condition."""
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise FailedPrecondition("the producer is closed", "failed_precondition")
        answer = self._queue.push(cut, partition)
        if self._worker is None:
            self._worker = threading.Thread(target=self._run, daemon=True, name=f"millstream-{self._path[1]}")
            self._worker.start()
            threading.Thread(target=self._watch, daemon=True, name="millstream-deadline").start()
        self._changed.notify_all()
        return answer

    # ---- the worker, which owns the streams ----

    def _run(self) -> None:
        try:
            self._keep_sending()
        except Exception as error:  # the thread must not end unheard: callers would wait for ever
            _log.exception("the producer of %s broke on an error of this client's", self._table)
            self._fail(MillstreamError(f"an error of this client's: {error!r}; what was appended is not known"))

    def _keep_sending(self) -> None:
        failures = 0
        while (schema := self._next_schema()) is not None:
            unanswered = len(self._queue)
            problem = PutStream(self, schema).run()
            if problem is None or not len(self._queue):
                failures = 0
                continue  # nothing is lost with the stream
            if problem.kind in _OF_ONE_BATCH:
                _log.info("table %s: a batch was refused: %s", self._table, problem)
                self._settle(functools.partial(self._refuse, problem))
                failures = 0
                continue
            # A server that was started anew knows no tokens.
            logs_in_anew = self._log_in.forget() and problem.kind == UNAUTHENTICATED
            # Progress means that the server is there: the count starts anew.
            if len(self._queue) < unanswered:
                failures = 0
            failures += 1
            used_up = self._attempts is not None and failures > self._attempts
            if not (isinstance(problem, Unavailable) or logs_in_anew) or used_up:
                self._fail(problem)
                return
            _log.warning("table %s: tries again, because attempt %d failed: %s", self._table, failures, problem)
            with self._changed:
                self._trouble = problem
                self._changed.wait_for(lambda: self._failure is not None, wait_s(*self._waits_ms, failures))

    def _refuse(self, problem: MillstreamError) -> list[tuple[Answer, MillstreamError]]:
        return [self._queue.refuse(problem)]

    def _watch(self) -> None:
        """Gives up on a server that answers nothing for too long, whatever the worker is held by."""
        with self._changed:
            while not (self._closed and not len(self._queue)) and self._failure is None:
                if not len(self._queue):
                    self._changed.wait()
                    continue
                left = self._queue.since + self._timeout_s - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            else:
                return
            why = f": {self._trouble}" if self._trouble is not None else ""
        self._fail(Timeout(
            f"no answer within delivery.timeout.ms ({self._timeout_s * 1000:.0f}){why}; whether the batches without an answer were "
            "appended is not known",
            "timeout",
        ))

    def _fail(self, problem: MillstreamError) -> None:
        _log.error("table %s: the producer gives up: %s", self._table, problem)
        with self._changed:
            self._failure = problem
        self._settle(lambda: self._queue.fail_all(problem))

    def _next_schema(self) -> pa.Schema | None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) or self._closed or self._failure is not None)
            return self._queue.schema

    def _settle(self, take: Callable[[], list[tuple[Answer, MillstreamError]]]) -> None:
        """Tells callers what has failed. Their callbacks run without the lock."""
        with self._changed:
            failed = take()
            unseen = [entry for entry in self._refused if not entry[0].seen]
            self._refused = (unseen + failed)[:_REFUSED_KEPT]
        for answer, error in failed:
            answer.set_exception(error)
        with self._changed:
            self._changed.notify_all()


__all__ = ["Ack", "Appended", "Producer"]
