"""Millstream from Python: Arrow batches out of topics, Arrow batches into tables, SQL in between.

>>> from millstream import Consumer, Producer, connect

``millstream.aio`` has the same for asyncio, ``millstream.testing`` a server for tests. What goes on beside the calls (joining,
rebalances, attempts to reach a server) is told to the loggers ``millstream.consumer`` and ``millstream.producer``."""

import logging
from importlib.metadata import PackageNotFoundError, version

from .batch import Batch
from .connection import Connection, connect
from .consumer import Consumer
from .errors import (
    AlreadyExists,
    Busy,
    Corrupt,
    FailedPrecondition,
    Fenced,
    InvalidInput,
    MillstreamError,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Reopen,
    ResourceExhausted,
    Timeout,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from .producer import Ack, Appended, Producer
from .result import Result

try:
    __version__ = version("millstream")
except PackageNotFoundError:
    __version__ = "0+source"  # run from a source tree

#: Silent unless the application asks for logs.
logging.getLogger("millstream").addHandler(logging.NullHandler())

__all__ = [
    "Ack",
    "AlreadyExists",
    "Appended",
    "Batch",
    "Busy",
    "Connection",
    "Consumer",
    "Corrupt",
    "FailedPrecondition",
    "Fenced",
    "InvalidInput",
    "MillstreamError",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "Producer",
    "Reopen",
    "ResourceExhausted",
    "Result",
    "Timeout",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "__version__",
    "connect",
]
