"""What consumer, producer and connection share: addresses, credentials, rows in any form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from .errors import InvalidInput, from_arrow

DEFAULT_URL = "grpc://127.0.0.1:8081"
_SCHEMES = {"grpc": "grpc+tcp", "grpc+tcp": "grpc+tcp", "http": "grpc+tcp", "grpc+tls": "grpc+tls", "https": "grpc+tls"}


def open_client(url: str) -> flight.FlightClient:
    """A Flight client for ``grpc://host:port`` (or ``grpc+tls://``). Does not connect yet."""
    scheme, separator, address = url.partition("://")
    if not separator or scheme not in _SCHEMES or not address:
        raise InvalidInput(f"url {url!r} is not of the form grpc://host:port", "invalid_input")
    try:
        return flight.connect(f"{_SCHEMES[scheme]}://{address.rstrip('/')}")
    except pa.ArrowException as error:
        raise from_arrow(error) from error


def call_options(user: str | None, password: str | None, client: flight.FlightClient) -> flight.FlightCallOptions:
    """Call options that carry the token of a basic log-in, or none without a user."""
    if user is None:
        return flight.FlightCallOptions()
    try:
        header = client.authenticate_basic_token(user, password or "")
    except pa.ArrowException as error:
        raise from_arrow(error) from error
    return flight.FlightCallOptions(headers=[header])


def to_batches(rows: Any, schema: pa.Schema | None = None) -> list[pa.RecordBatch]:
    """Record batches out of a batch, a table, a data frame (pandas or polars), or an iterable of mappings."""
    if isinstance(rows, pa.RecordBatch):
        return [rows]
    if isinstance(rows, pa.Table):
        return rows.combine_chunks().to_batches()
    if hasattr(rows, "to_arrow"):
        return to_batches(rows.to_arrow())
    if type(rows).__module__.partition(".")[0] == "pandas":
        return to_batches(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))
    if isinstance(rows, Mapping):
        rows = [rows]
    if isinstance(rows, Iterable):
        return to_batches(pa.Table.from_pylist(list(rows), schema=schema))
    raise InvalidInput(f"rows of type {type(rows).__name__} can't be turned into Arrow batches", "invalid_input")
