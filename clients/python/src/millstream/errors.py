"""What can go wrong, told apart by what the caller should do."""

from __future__ import annotations

import re

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


#: What pyarrow raises; some of its errors are Python's own.
ARROW_ERRORS = (pa.ArrowException, flight.FlightError, OSError)

_BY_KIND = {
    "invalid_input": InvalidInput,
    "fenced": Fenced,
    "out_of_range": OutOfRange,
    "retry": Unavailable,
    "reopen": Unavailable,
}

#: What no server says of itself: the token of a log-in is not known, or a password can't be checked.
UNAUTHENTICATED = "unauthenticated"

#: By the words that pyarrow has for gRPC codes; the server's own kinds do not come through it.
_BY_CODE = {
    "invalid argument": "invalid_input",
    "not found": "not_found",
    "already exists": "already_exists",
    "precondition failed": "failed_precondition",
    "out-of-range": "out_of_range",
    "aborted": "fenced",
    "unavailable": "retry",
    "timed out": "retry",
    "resource exhausted": "resource_exhausted",
    "permission denied": "permission_denied",
    "unauthorized": "permission_denied",
    "unauthenticated": UNAUTHENTICATED,
    "unimplemented": "unsupported",
    "data loss": "corrupt",
}
_STATUS = re.compile(r"returned (?P<code>[a-z -]+?) error, with message: (?P<message>.*)", re.DOTALL)
_CONTEXT = re.compile(r"[.]? (gRPC client debug context|Client context|Detail):.*", re.DOTALL)


def of_kind(kind: str, message: str) -> MillstreamError:
    """The exception for an error that the server named."""
    return _BY_KIND.get(kind, MillstreamError)(message, kind)


def from_arrow(error: BaseException) -> MillstreamError:
    """Translates what pyarrow raises."""
    text = str(error)
    status = _STATUS.search(text)
    message = _CONTEXT.sub("", status["message"] if status else text)
    if status and status["code"] in _BY_CODE:
        return of_kind(_BY_CODE[status["code"]], message)
    if isinstance(error, (flight.FlightUnavailableError, flight.FlightTimedOutError, flight.FlightCancelledError)):
        return Unavailable(message, "retry")
    if isinstance(error, pa.ArrowInvalid):
        return InvalidInput(message, "invalid_input")
    return MillstreamError(message)
