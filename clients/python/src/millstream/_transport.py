"""What consumer, producer and connection share: addresses and credentials."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pyarrow.flight as flight

from ._calls import Call, Calls
from ._tls import Tls
from .errors import (
    ARROW_ERRORS,
    UNAUTHENTICATED,
    InvalidInput,
    MillstreamError,
    Timeout,
    Unauthenticated,
    Unavailable,
    from_arrow,
)

DEFAULT_URL = "grpc://127.0.0.1:8081"
_SCHEMES = {"grpc": "grpc+tcp", "grpc+tcp": "grpc+tcp", "http": "grpc+tcp", "grpc+tls": "grpc+tls", "https": "grpc+tls"}
#: A server that has gone without a word is noticed by pings.
_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
#: The server ends a statement by itself, too, should the call's end not reach it; a little later, so that it is the call's
#: end that is told.
_SERVER_LATER_S = 1.0

#: One of ``CREATE TOKEN``, or what gives the one of the moment; asked with each call, from any thread.
Token = str | Callable[[], str]

_log = logging.getLogger("millstream")


def open_client(url: str, tls: Tls) -> flight.FlightClient:
    """A Flight client for ``grpc://host:port`` (or ``grpc+tls://``). Does not connect yet, but to look at the certificate of a
    server that is known by its fingerprint."""
    scheme, separator, address = url.partition("://")
    if not separator or scheme not in _SCHEMES or not address:
        raise InvalidInput(f"url {url!r} is not of the form grpc://host:port", "invalid_input")
    address = address.rstrip("/")
    secured: dict[str, Any] = {}
    if _SCHEMES[scheme] == "grpc+tls":
        host, port = _parts(url, address)
        secured = tls.arguments(host, port)
    elif tls != Tls():
        raise InvalidInput(f"there are TLS options, and {url} is not of the form grpc+tls://host:port", "invalid_input")
    try:
        location = f"{_SCHEMES[scheme]}://{address}"
        return flight.connect(location, generic_options=_OPTIONS, middleware=[Calls()], **secured)
    except ARROW_ERRORS as error:
        raise from_arrow(error) from error


def _parts(url: str, address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidInput(f"url {url!r} has no port", "invalid_input")
    return host.removeprefix("[").removesuffix("]"), int(port)


class Deadline:
    """When a statement has to be over; ``None`` seconds for never."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s
        self._at = None if timeout_s is None else time.monotonic() + timeout_s

    def left(self) -> float | None:
        """Seconds; raises ``Timeout`` if there are none."""
        if self._at is None:
            return None
        left = self._at - time.monotonic()
        if left <= 0:
            raise self._over()
        return left

    def told(self, error: MillstreamError) -> MillstreamError:
        """The error of a call that had this deadline."""
        return self._over() if isinstance(error, Timeout) else error

    def _over(self) -> Timeout:
        return Timeout(f"the statement took longer than the {self._timeout_s} s allowed and was ended", "timeout")


class LogIn:
    """Who calls, and in which namespace. A user logs in when that is needed, and again once the server has forgotten it, which
    one that was started anew has done; a token of the user's is shown with each call."""

    def __init__(
        self,
        user: str | None,
        password: str | None,
        token: Token | None,
        client: flight.FlightClient,
        namespace: str | None = None,
    ) -> None:
        if token is not None and (user is not None or password is not None):
            raise InvalidInput("a token says who it is of: give it without user and password", "invalid_input")
        self._user = user
        self._password = password or ""
        self._given = token
        self._client = client
        #: What calls show now.
        self._token: tuple[bytes, bytes] | None = None
        if namespace is not None and not (namespace.isascii() and namespace.isprintable()):
            raise InvalidInput(f"the namespace {namespace!r} is not ASCII text; USE it in a statement", "invalid_input")
        self._namespace = namespace

    def options(self, deadline: Deadline | None = None) -> flight.FlightCallOptions:
        """What a call takes along. Raises ``Unavailable`` where the server can't be asked."""
        left = deadline.left() if deadline is not None else None
        headers: list[tuple[bytes, bytes]] = []
        if self._given is not None:
            self._token = _bearer(self._given)
        elif self._user is not None and self._token is None:
            self._token = self._log_in(left)
        if self._token is not None:
            headers.append(self._token)
        if self._namespace is not None:
            headers.append((b"millstream-namespace", self._namespace.encode()))
        if left is not None:
            headers.append((b"millstream-statement-timeout-ms", b"%d" % ((left + _SERVER_LATER_S) * 1000)))
        return flight.FlightCallOptions(timeout=left, headers=headers)

    def forget(self) -> bool:
        """The next call logs in anew; False for those who have nothing else to do it with."""
        if self._given is not None:
            try:
                return _bearer(self._given) != self._token
            except MillstreamError:
                return False
        shown, self._token = self._token, None
        return shown is not None

    def _log_in(self, timeout_s: float | None) -> tuple[bytes, bytes]:
        call = Call()
        try:
            with call:
                token: tuple[bytes, bytes] = self._client.authenticate_basic_token(
                    self._user, self._password, flight.FlightCallOptions(timeout=timeout_s)
                )
        except ARROW_ERRORS as error:
            raised = call.error(error)
            if call.kind is None and type(raised) is Unavailable:
                raised = Unavailable(f"can't log in: {raised}", raised.kind)
            raise raised from error
        _log.debug("logged in as %s", self._user)
        return token


def _bearer(given: Token) -> tuple[bytes, bytes]:
    if isinstance(given, str):
        token = given
    else:
        try:
            token = given()
        except Exception as error:
            raise Unauthenticated(f"there is no token: {error!r}", UNAUTHENTICATED) from error
    if not (isinstance(token, str) and token.isascii() and token.isprintable()):
        raise InvalidInput("the token is not ASCII text", "invalid_input")
    return (b"authorization", b"Bearer " + token.encode())
