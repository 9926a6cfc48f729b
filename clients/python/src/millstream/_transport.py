"""What consumer, producer and connection share: addresses and credentials."""

from __future__ import annotations

import pyarrow.flight as flight

from .errors import ARROW_ERRORS, InvalidInput, from_arrow

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


def call_options(user: str | None, password: str | None, client: flight.FlightClient) -> flight.FlightCallOptions:
    """Call options that carry the token of a basic log-in, or none without a user."""
    if user is None:
        return flight.FlightCallOptions()
    try:
        header = client.authenticate_basic_token(user, password or "")
    except ARROW_ERRORS as error:
        raise from_arrow(error) from error
    return flight.FlightCallOptions(headers=[header])
