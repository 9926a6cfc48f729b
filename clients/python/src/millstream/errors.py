"""What can go wrong, told apart by what the caller should do."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.flight as flight


class MillstreamError(Exception):
    """Any failure the server or this client reports. ``kind`` is the server's word for it."""

    def __init__(self, message: str, kind: str = "internal"):
        super().__init__(message)
        self.kind = kind


class InvalidInput(MillstreamError):
    """The request is wrong; sending it again cannot help."""


class Fenced(MillstreamError):
    """Another member, generation or producer has taken over."""


class OutOfRange(MillstreamError):
    """The offset is outside what is retained."""


class Unavailable(MillstreamError):
    """The server could not be reached, or asked to be tried again later."""


_BY_KIND = {
    "invalid_input": InvalidInput,
    "fenced": Fenced,
    "out_of_range": OutOfRange,
    "retry": Unavailable,
    "reopen": Unavailable,
}


def of_kind(kind: str, message: str) -> MillstreamError:
    """The exception for an error that the server named."""
    return _BY_KIND.get(kind, MillstreamError)(message, kind)


def from_arrow(error: pa.ArrowException) -> MillstreamError:
    """Translates what pyarrow raises."""
    message = str(error).split(". Detail:")[0].split(". gRPC client debug context:")[0]
    if isinstance(error, (flight.FlightUnavailableError, flight.FlightTimedOutError)):
        return Unavailable(message, "retry")
    if isinstance(error, pa.ArrowInvalid):
        return InvalidInput(message, "invalid_input")
    return MillstreamError(message)
