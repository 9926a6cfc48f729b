"""One DoPut call of a producer."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.flight as flight

from ._calls import Call
from ._wire import millstream_v1_pb2 as wire
from .errors import ARROW_ERRORS, MillstreamError, Unavailable, of_kind

if TYPE_CHECKING:
    from .producer import Producer

_log = logging.getLogger("millstream.producer")
#: How long the end of a stream is waited for.
END_TIMEOUT_S = 30.0


class PutStream:
    """One DoPut call, until it breaks, a batch of another schema is next, or there is nothing left to do."""

    def __init__(self, producer: Producer, schema: pa.Schema) -> None:
        self._producer = producer
        self._queue = producer._queue
        self._changed = producer._changed
        self._schema = schema
        self._sent = 0
        self._over = False
        self._call = Call()
        self._problem: MillstreamError | None = None

    def run(self) -> MillstreamError | None:
        """Gives the problem that ended it, if one did."""
        producer = self._producer
        descriptor = flight.FlightDescriptor.for_path(*producer._path)
        try:
            options = producer._log_in.options()
            with self._call:
                writer, reader = producer._client.do_put(descriptor, self._schema, options)
        except ARROW_ERRORS as error:
            return self._call.error(error)
        except MillstreamError as error:
            return error  # of the log-in
        acks = threading.Thread(target=self._read, args=(reader,), daemon=True, name="millstream-acks")
        acks.start()
        while (message := self._next()) is not None:
            try:
                writer.write_with_metadata(*message)
            except ARROW_ERRORS:
                break  # the acknowledgements say why
        return self._end(writer, acks)

    def _next(self) -> tuple[pa.RecordBatch, bytes] | None:
        """The next message; None when the stream is to end."""
        with self._changed:
            while True:
                if self._over or self._producer._failure is not None:
                    return None
                if self._queue.may_send(self._sent, self._schema):
                    self._sent += 1
                    return self._queue.send(self._sent - 1)
                waits_for_answers = self._sent > 0
                if not waits_for_answers and (len(self._queue) or self._producer._closed):
                    return None
                self._changed.wait()

    def _end(self, writer: flight.FlightStreamWriter, acks: threading.Thread) -> MillstreamError | None:
        finished = not self._over and self._sent == 0
        producer_goes_on = self._producer._failure is None
        try:
            writer.done_writing()
        except ARROW_ERRORS:
            pass  # broken: the acknowledgements say why
        acks.join(END_TIMEOUT_S if producer_goes_on else 0)
        if not acks.is_alive():
            try:
                writer.close()
            except ARROW_ERRORS as error:
                self._problem = self._problem or self._call.error(error)
        if finished:
            return None
        return self._problem or Unavailable("the server ended the stream", "retry")

    def _read(self, reader: flight.FlightMetadataReader) -> None:
        """Takes in acknowledgements until the server ends the stream."""
        try:
            while (buffer := reader.read()) is not None:
                ack = wire.Ack.FromString(buffer.to_pybytes())
                # Answers come in the order of the batches, so an error is the oldest one's.
                if ack.HasField("error"):
                    name = wire.ErrorKind.Name(ack.error.kind).removeprefix("ERROR_KIND_").lower()
                    self._problem = of_kind(name, ack.error.message)
                    break
                self._acknowledge(ack)
        except ARROW_ERRORS as error:
            self._problem = self._call.error(error)
        except MillstreamError as error:
            self._problem = error
        except Exception as error:  # the thread must not end unheard: callers would wait for ever
            _log.exception("an acknowledgement could not be taken in")
            self._problem = MillstreamError(f"an error of this client's: {error!r}; what was appended is not known")
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _acknowledge(self, ack: wire.Ack) -> None:
        with self._changed:
            told = self._queue.acknowledged(ack)
            self._sent -= 1
        if told is not None:
            answer, result = told
            answer.set_result(result)
        with self._changed:
            self._changed.notify_all()
