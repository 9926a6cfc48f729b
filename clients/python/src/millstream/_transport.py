"""What consumer, producer and connection share: addresses and credentials."""

from __future__ import annotations

import pyarrow.flight as flight

from .errors import ARROW_ERRORS, InvalidInput, Unavailable, from_arrow

DEFAULT_URL = "grpc://127.0.0.1:8081"
_SCHEMES = {"grpc": "grpc+tcp", "grpc+tcp": "grpc+tcp", "http": "grpc+tcp", "grpc+tls": "grpc+tls", "https": "grpc+tls"}
#: A server that has gone without a word is noticed by pings.
_OPTIONS = [
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


def open_client(url: str) -> flight.FlightClient:
    """A Flight client for ``grpc://host:port`` (or ``grpc+tls://``). Does not connect yet."""
    scheme, separator, address = url.partition("://")
    if not separator or scheme not in _SCHEMES or not address:
        raise InvalidInput(f"url {url!r} is not of the form grpc://host:port", "invalid_input")
    try:
        return flight.connect(f"{_SCHEMES[scheme]}://{address.rstrip('/')}", generic_options=_OPTIONS)
    except ARROW_ERRORS as error:
        raise from_arrow(error) from error


class LogIn:
    """Who calls. The server's token for a user is asked for when it is needed, and again once it was forgotten, which a server
    that was started anew has done."""

    def __init__(self, user: str | None, password: str | None, client: flight.FlightClient):
        self._user = user
        self._password = password or ""
        self._client = client
        self._options: flight.FlightCallOptions | None = None if user is not None else flight.FlightCallOptions()

    def options(self) -> flight.FlightCallOptions:
        """What a call takes along. Raises ``Unavailable`` where the server can't be asked."""
        if self._options is None:
            try:
                header = self._client.authenticate_basic_token(self._user, self._password)
            except ARROW_ERRORS as error:
                raised = from_arrow(error)
                # A connection that is refused is some unspecific error here, with no word of the server's.
                raise Unavailable(f"can't log in: {raised}", "retry") if raised.kind == "internal" else raised from error
            self._options = flight.FlightCallOptions(headers=[header])
        return self._options

    def forget(self) -> bool:
        """The next call logs in anew; False for those who have no user to do it with."""
        if self._user is None:
            return False
        self._options = None
        return True
