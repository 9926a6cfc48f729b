"""Millstream for asyncio: the same consumer, producer and connection, whose waiting calls are awaited.

>>> from millstream import aio

Classes, parameters and errors are those of :mod:`millstream`; what differs is said here. The calls of an object belong to one
event loop. Each may be cancelled: see the classes for what that leaves behind."""

from ._connection import Connection, connect
from ._consumer import Consumer
from ._producer import Producer

__all__ = ["Connection", "Consumer", "Producer", "connect"]
