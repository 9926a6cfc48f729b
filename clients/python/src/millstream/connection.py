"""SQL over Flight SQL. For DB-API use the ADBC driver; this is for scripts."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight
from google.protobuf import any_pb2

from ._transport import DEFAULT_URL, LogIn, open_client
from ._wire import millstream_v1_pb2 as wire
from .errors import ARROW_ERRORS, MillstreamError, from_arrow

#: A plugin's module is sent in pieces.
_PIECE_BYTES = 1 << 20


def connect(url: str = DEFAULT_URL, *, user: str | None = None, password: str | None = None) -> Connection:
    """Opens a connection for SQL statements."""
    return Connection(url, user=user, password=password)


class Connection:
    """Runs statements; use it as a context manager."""

    def __init__(self, url: str = DEFAULT_URL, *, user: str | None = None, password: str | None = None):
        self._client = open_client(url)
        self._log_in = LogIn(user, password, self._client)

    def execute(self, sql: str) -> pa.Table:
        """Runs one statement and gives its rows; a statement without rows gives what the server says of it."""
        descriptor = flight.FlightDescriptor.for_command(_statement_query(sql))
        try:
            info = self._logged_in(lambda options: self._client.get_flight_info(descriptor, options))
            options = self._log_in.options()
            tables = [self._client.do_get(endpoint.ticket, options).read_all() for endpoint in info.endpoints]
        except ARROW_ERRORS as error:
            raise from_arrow(error) from error
        return pa.concat_tables(tables) if tables else info.schema.empty_table()

    def create_plugin(self, statement: str, module: bytes) -> str:
        """Loads a plugin: a statement ``CREATE PLUGIN … FROM UPLOAD …`` with the module beside it, of at most 64 MiB. Gives what
        the server says of it."""
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

        try:
            answer = self._logged_in(put)
        except ARROW_ERRORS as error:
            raise from_arrow(error) from error
        if answer is None:
            raise MillstreamError("CREATE PLUGIN without an answer")
        return wire.StatementDone.FromString(answer.to_pybytes()).message

    def _logged_in(self, call: Callable[[flight.FlightCallOptions], Any]) -> Any:
        """Calls, and once more with a new token if the server does not know ours: nothing was done then."""
        try:
            return call(self._log_in.options())
        except flight.FlightUnauthenticatedError:
            if not self._log_in.forget():
                raise
            return call(self._log_in.options())

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _statement_query(sql: str) -> bytes:
    """A packed ``CommandStatementQuery``: field 1 is the text."""
    text = sql.encode()
    value = bytearray([0x0A])
    length = len(text)
    while length > 0x7F:
        value.append(length & 0x7F | 0x80)
        length >>= 7
    value.append(length)
    name = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return any_pb2.Any(type_url=name, value=bytes(value) + text).SerializeToString()
