"""Key-value state of a consumer, which asks for the capability "state".

Keys belong to the consumer and the partition of the batch at hand. Reads see the writes of the same call; those become durable
together with the rows that the call gives and the offset of its input, or not at all. What is raised says which limit was met.
Keys and values are bytes.
"""

from componentize_py_types import Err
from wit_world.imports import state

__all__ = ["delete", "get", "put", "scan"]


def get(key):
    """The value of a key; None if it is not there."""
    return _told(state.get, key)


def put(key, value):
    """Keys have 1 to 1,024 bytes, values at most 256 KiB; one call writes at most 65,536 keys and 2 MiB."""
    _told(state.put, key, value)


def delete(key):
    """A key that is not there is no error."""
    _told(state.delete, key)


def scan(prefix, after=None, limit=1000):
    """Entries (key, value) whose keys begin with `prefix`, in the order of the keys, from the first one behind `after` on; at most
    `limit`, and fewer where they are many or large. An empty answer is the end."""
    return [(entry.key, entry.value) for entry in _told(state.scan, prefix, after, limit)]


def _told(call, *arguments):
    """The contract's errors carry a text."""
    try:
        return call(*arguments)
    except Err as error:
        raise RuntimeError(getattr(error.value, "value", error.value)) from None
