"""SQL over Flight SQL. For DB-API use the ADBC driver; this is for scripts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.flight as flight
from google.protobuf import any_pb2

from . import _flight_sql, _parameters
from ._calls import Call
from ._tls import Tls
from ._transport import DEFAULT_URL, Deadline, LogIn, Token, open_client
from ._wire import millstream_v1_pb2 as wire
from .errors import ARROW_ERRORS, FailedPrecondition, MillstreamError
from .result import Result

#: A plugin's module is sent in pieces.
_PIECE_BYTES = 1 << 20

_NO_DEADLINE = Deadline(None)

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
    """Opens a connection for SQL statements; see :class:`Connection`."""
    return Connection(
        url, user=user, password=password, token=token, namespace=namespace, ca_file=ca_file, fingerprint=fingerprint,
        certificate_file=certificate_file, key_file=key_file,
    )


class Running:
    """A statement that another thread may cancel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: flight.FlightStreamReader | None = None
        self._cancelled = False

    def begun(self, reader: flight.FlightStreamReader) -> None:
        """Its rows come by this reader."""
        with self._lock:
            self._reader = reader
            if self._cancelled:
                reader.cancel()

    def cancel(self) -> None:
        """Ends it, now or when its rows would come."""
        with self._lock:
            self._cancelled = True
            if self._reader is not None:
                self._reader.cancel()


class Connection:
    """Runs statements; use it as a context manager, and from as many threads as you like.

    :param url: ``grpc://host:port``, or ``grpc+tls://host:port`` where the server has TLS.
    :param user: with one, the connection is a session, so that ``USE`` lasts. A server without users takes any name, and no
        password but an empty one.
    :param password: the user's, or a token of his.
    :param token: in place of both: one that ``CREATE TOKEN`` has given, or a function that gives the one of the moment, which is
        asked with each call. There is no session then.
    :param namespace: where names without one are looked for; ``public`` unless given.
    :param ca_file: certificates to trust with ``grpc+tls://``, where the machine's own don't do.
    :param fingerprint: the SHA-256 of the server's certificate, by which alone the server is known then, without ``ca_file``.
    :param certificate_file: the certificate that this client shows, and ``key_file`` its key.
    :raises InvalidInput: the URL is none, a file can't be used, or both a user and a token are given. Nothing is connected to before
        the first statement, but with a fingerprint.
    :raises Unavailable: with a fingerprint: the server can't be reached, or shows another certificate."""

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
        self._client = open_client(url, Tls(ca_file, fingerprint, certificate_file, key_file))
        self._log_in = LogIn(user, password, token, self._client, namespace)
        self._closed = False

    def query(self, sql: str, parameters: Sequence[Any] | None = None, *, timeout_s: float | None = None) -> Result:
        """Runs one statement and gives all of its rows, for whatever library is at hand.

        :param sql: the statement, of at most 1 MiB.
        :param parameters: the values of ``$1``, ``$2``, … or of each ``?``.
        :param timeout_s: how long it may take, its rows included; then it is ended. Without, as long as the server allows.
        :raises InvalidInput: the statement is wrong, or its values are (``1 / 0``).
        :raises NotFound, AlreadyExists, FailedPrecondition, Unsupported, ResourceExhausted: what a statement that defines
            or changes something was refused for.
        :raises Unauthenticated: the server wants a login, or does not take this one, or it has ended.
        :raises PermissionDenied: the caller may not do that.
        :raises Timeout: ``timeout_s`` is over. Whether a statement that changes something has done it is not known.
        :raises Busy: the server can't do it now.
        :raises Unavailable: the server can't be reached."""
        return Result(self.execute(sql, parameters, timeout_s=timeout_s))

    def execute(self, sql: str, parameters: Sequence[Any] | None = None, *, timeout_s: float | None = None) -> pa.Table:
        """As :meth:`query`, and gives the rows as a pyarrow table; a statement without rows gives what the server says of it."""
        with self._run(sql, parameters, timeout_s) as reader:
            return reader.read_all()

    def executemany(self, sql: str, rows: Any, *, timeout_s: float | None = None) -> Result:
        """Runs an INSERT once for each row of parameters, all in one statement.

        :param rows: sequences of values, or Arrow data (a data frame of polars, …) whose columns are ``$1``, ``$2``, …; at
            most 32 MiB at once.
        :raises: as :meth:`query`."""
        with self._run_many(sql, rows, timeout_s) as reader:
            return Result(reader.read_all())

    def stream(
        self, sql: str, parameters: Sequence[Any] | None = None, *, timeout_s: float | None = None
    ) -> pa.RecordBatchReader:
        """Runs one statement and gives a reader of its rows, which are fetched as they are read: for answers that are larger
        than memory. The reader is Arrow data for other libraries, once. Close it, or read it to its end.

        :raises: as :meth:`query`; what goes wrong later is raised by the reader."""
        return self._run(sql, parameters, timeout_s)

    def create_plugin(self, statement: str, module: bytes) -> str:
        """Loads a plugin: a statement ``CREATE PLUGIN … FROM UPLOAD …`` with the module beside it, of at most 64 MiB. Gives what
        the server says of it.

        :raises InvalidInput, AlreadyExists, ResourceExhausted: the server's reasons to refuse it."""
        create = wire.CreatePlugin(statement=statement)
        name = "type.googleapis.com/millstream.v1.CreatePlugin"
        command = any_pb2.Any(type_url=name, value=create.SerializeToString()).SerializeToString()
        descriptor = flight.FlightDescriptor.for_command(command)

        def put(options: flight.FlightCallOptions) -> pa.Buffer | None:
            writer, reader = self._client.do_put(descriptor, pa.schema([]), options)
            try:
                for start in range(0, len(module), _PIECE_BYTES):
                    writer.write_metadata(module[start : start + _PIECE_BYTES])
                writer.done_writing()
                return reader.read()
            finally:
                writer.close()

        answer = self._call(put)
        if answer is None:
            raise MillstreamError("CREATE PLUGIN without an answer")
        return wire.StatementDone.FromString(answer.to_pybytes()).message

    def close(self) -> None:
        """Closes the connection; statements on it are ``FailedPrecondition`` from then on."""
        self._closed = True
        self._client.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- within ----

    def _run(
        self, sql: str, parameters: Sequence[Any] | None, timeout_s: float | None, running: Running | None = None
    ) -> pa.RecordBatchReader:
        deadline = Deadline(timeout_s)
        if parameters is None:
            return self._rows(_flight_sql.statement_query(sql), deadline, running)
        return self._run_prepared(sql, _parameters.one_row(parameters), deadline, running)

    def _run_many(
        self, sql: str, rows: Any, timeout_s: float | None, running: Running | None = None
    ) -> pa.RecordBatchReader:
        return self._run_prepared(sql, _parameters.rows(rows), Deadline(timeout_s), running)

    def _run_prepared(
        self, sql: str, parameters: pa.RecordBatch, deadline: Deadline, running: Running | None
    ) -> pa.RecordBatchReader:
        handle = self._prepare(sql, deadline)
        try:
            command = _flight_sql.prepared_query(handle)
            self._bind(command, parameters, deadline)
            return self._rows(command, deadline, running)
        finally:
            self._close_prepared(handle)

    def _rows(self, command: bytes, deadline: Deadline, running: Running | None) -> pa.RecordBatchReader:
        descriptor = flight.FlightDescriptor.for_command(command)
        info = self._call(lambda options: self._client.get_flight_info(descriptor, options), deadline)
        ticket = info.endpoints[0].ticket
        call = Call()
        try:
            with call:
                reader = self._client.do_get(ticket, self._log_in.options(deadline))
            if running is not None:
                running.begun(reader)
            schema = reader.schema
        except ARROW_ERRORS as error:
            raise deadline.told(call.error(error)) from error
        return pa.RecordBatchReader.from_batches(schema, _batches(reader, call, deadline))

    def _prepare(self, sql: str, deadline: Deadline) -> bytes:
        action = flight.Action("CreatePreparedStatement", _flight_sql.create_prepared(sql))
        results = self._call(lambda options: list(self._client.do_action(action, options)), deadline)
        if not results:
            raise MillstreamError("CreatePreparedStatement without an answer")
        return _flight_sql.handle_of(results[0].body.to_pybytes())

    def _bind(self, command: bytes, parameters: pa.RecordBatch, deadline: Deadline) -> None:
        descriptor = flight.FlightDescriptor.for_command(command)

        def put(options: flight.FlightCallOptions) -> None:
            writer, reader = self._client.do_put(descriptor, parameters.schema, options)
            try:
                writer.write_batch(parameters)
                writer.done_writing()
                reader.read()
            finally:
                writer.close()

        self._call(put, deadline)

    def _close_prepared(self, handle: bytes) -> None:
        """What is not closed expires."""
        action = flight.Action("ClosePreparedStatement", _flight_sql.close_prepared(handle))
        try:
            self._call(lambda options: list(self._client.do_action(action, options)))
        except MillstreamError:
            pass  # the statement is done, or its error is the one to be told

    def _call(self, make: Callable[[flight.FlightCallOptions], _T], deadline: Deadline = _NO_DEADLINE) -> _T:
        """Calls, and once more with a new token if the server does not know ours: nothing was done then."""
        if self._closed:
            raise FailedPrecondition("the connection is closed", "failed_precondition")
        for again in (True, False):
            options = self._log_in.options(deadline)
            call = Call()
            try:
                with call:
                    return make(options)
            except flight.FlightUnauthenticatedError as error:
                if not (again and self._log_in.forget()):
                    raise call.error(error) from error
            except ARROW_ERRORS as error:
                raise deadline.told(call.error(error)) from error
        raise AssertionError("the second attempt returns or raises")


def _batches(reader: flight.FlightStreamReader, call: Call, deadline: Deadline) -> Iterator[pa.RecordBatch]:
    """The batches of an answer. Who stops reading cancels the query."""
    done = False
    try:
        while True:
            yield reader.read_chunk().data
    except StopIteration:
        done = True
    except ARROW_ERRORS as error:
        done = True
        raise deadline.told(call.error(error)) from error
    finally:
        if not done:
            reader.cancel()
