"""What can go wrong, told apart by what the caller should do.

Each exception stands for one kind of the server's errors, which comes by name with the error itself; nothing is read out of
messages. ``kind`` has the name."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.flight as flight


class MillstreamError(Exception):
    """Any failure that the server or this client reports, and itself what has no class of its own: ``internal`` (a defect of
    the server, whose log has more) and ``ended`` (another stream of the same member took this one's place).

    :ivar kind: the server's word for it."""

    kind: str

    def __init__(self, message: str, kind: str = "internal") -> None:
        super().__init__(message)
        self.kind = kind


class InvalidInput(MillstreamError):
    """The request is wrong; sending it again cannot help. SQL that names a table or column which does not exist is this, too."""


class NotFound(MillstreamError):
    """What the request names does not exist."""


class AlreadyExists(MillstreamError):
    """What the request makes is there already."""


class FailedPrecondition(MillstreamError):
    """Something has to change first: a consumer has to subscribe, a row that fails has to be sought past, a plugin to be
    dropped that another still needs."""


class OutOfRange(MillstreamError):
    """The offset is outside what is retained."""


class Fenced(MillstreamError):
    """Another member, generation or producer has taken over."""


class ResourceExhausted(MillstreamError):
    """A limit of the server's was in the way: bytes, connections, plugins, or the time that a statement may take there."""


class PermissionDenied(MillstreamError):
    """The caller may not do that."""


class Unauthenticated(PermissionDenied):
    """The server wants a login, does not take the one that it was shown (a wrong password, a token that there is not, too many
    failed attempts), or that login has ended: the user was dropped or disabled, the password set, the token dropped or expired."""


class Unsupported(MillstreamError):
    """The server does not do that."""


class Corrupt(MillstreamError):
    """Stored data is not what was written. An operator has to act."""


class Unavailable(MillstreamError):
    """The server could not be reached, or the connection broke: whether the request was carried out may not be known."""


class Busy(Unavailable):
    """The server has answered that it can't do it now (it has too much to do, begins or ends); the same request may succeed
    later."""


class Reopen(Unavailable):
    """The store refuses to write until the server was started anew. An operator has to act."""


class Timeout(Unavailable):
    """There was no answer in the time allowed: whether the request was carried out is not known."""


#: What pyarrow raises; some of its errors are Python's own.
ARROW_ERRORS = (pa.ArrowException, flight.FlightError, OSError)

#: The name of a login that is missing, wrong or has ended.
UNAUTHENTICATED = "unauthenticated"

_BY_KIND: dict[str, type[MillstreamError]] = {
    "invalid_input": InvalidInput,
    "not_found": NotFound,
    "already_exists": AlreadyExists,
    "failed_precondition": FailedPrecondition,
    "out_of_range": OutOfRange,
    "fenced": Fenced,
    "resource_exhausted": ResourceExhausted,
    "permission_denied": PermissionDenied,
    UNAUTHENTICATED: Unauthenticated,
    "unsupported": Unsupported,
    "corrupt": Corrupt,
    "retry": Busy,
    "reopen": Reopen,
}

#: By the classes that pyarrow has for gRPC codes: what was refused on the way, or here, has no name from the server. What is
#: none of these is a connection that broke.
_BY_CLASS: tuple[tuple[type[BaseException], type[MillstreamError], str], ...] = (
    (flight.FlightTimedOutError, Timeout, "timeout"),
    (flight.FlightUnauthorizedError, PermissionDenied, "permission_denied"),
    (flight.FlightError, Unavailable, "retry"),
    (pa.ArrowKeyError, NotFound, "not_found"),
    (pa.ArrowNotImplementedError, Unsupported, "unsupported"),
    (pa.ArrowInvalid, InvalidInput, "invalid_input"),
    (OSError, Unavailable, "retry"),
)
#: What pyarrow writes around the server's words.
_STATUS = re.compile(r"returned [a-z -]+? error, with message: (?P<message>.*)", re.DOTALL)
_CONTEXT = re.compile(r"[.]? (gRPC client debug context|Client context|Detail):.*", re.DOTALL)


def of_kind(kind: str, message: str) -> MillstreamError:
    """The exception for an error that the server named."""
    return _BY_KIND.get(kind, MillstreamError)(message, kind)


def from_arrow(error: BaseException, kind: str | None = None) -> MillstreamError:
    """Translates what pyarrow raises; ``kind`` is what the server has named the error, if it did."""
    text = str(error)
    status = _STATUS.search(text)
    message = _CONTEXT.sub("", status["message"] if status else text)
    if isinstance(error, flight.FlightUnauthenticatedError):
        kind = UNAUTHENTICATED
    if kind is not None:
        return of_kind(kind, message)
    for known, raised, name in _BY_CLASS:
        if isinstance(error, known):
            return raised(message, name)
    return MillstreamError(message)
