"""The few messages of Flight SQL that statements need. All of them hold one text or handle in field 1."""

from __future__ import annotations

from google.protobuf import any_pb2, wrappers_pb2

_PACKAGE = "type.googleapis.com/arrow.flight.protocol.sql."


def statement_query(sql: str) -> bytes:
    """A packed ``CommandStatementQuery``."""
    return _packed("CommandStatementQuery", sql.encode())


def create_prepared(sql: str) -> bytes:
    """A packed ``ActionCreatePreparedStatementRequest``."""
    return _packed("ActionCreatePreparedStatementRequest", sql.encode())


def prepared_query(handle: bytes) -> bytes:
    """A packed ``CommandPreparedStatementQuery``."""
    return _packed("CommandPreparedStatementQuery", handle)


def close_prepared(handle: bytes) -> bytes:
    """A packed ``ActionClosePreparedStatementRequest``."""
    return _packed("ActionClosePreparedStatementRequest", handle)


def handle_of(created: bytes) -> bytes:
    """The handle in a packed ``ActionCreatePreparedStatementResult``."""
    return wrappers_pb2.BytesValue.FromString(any_pb2.Any.FromString(created).value).value


def _packed(name: str, first: bytes) -> bytes:
    # BytesValue is a message whose field 1 is bytes, and fields that it does not know are passed over.
    value = wrappers_pb2.BytesValue(value=first).SerializeToString()
    return any_pb2.Any(type_url=_PACKAGE + name, value=value).SerializeToString()
