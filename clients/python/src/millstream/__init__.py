"""Millstream from Python: Arrow batches out of topics, Arrow batches into tables, SQL in between.

>>> from millstream import Consumer, Producer, connect
"""

from .batch import Batch
from .connection import Connection, connect
from .consumer import Consumer
from .errors import Fenced, InvalidInput, MillstreamError, OutOfRange, Unavailable
from .producer import Ack, Appended, Producer

__all__ = [
    "Ack",
    "Appended",
    "Batch",
    "Connection",
    "Consumer",
    "Fenced",
    "InvalidInput",
    "MillstreamError",
    "OutOfRange",
    "Producer",
    "Unavailable",
    "connect",
]
