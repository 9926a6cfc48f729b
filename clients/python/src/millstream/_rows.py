"""Dictionaries as one record batch that has all of their keys."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from .errors import InvalidInput

#: What is tried for integers that are larger than 64 bits with a sign hold.
_LARGE_INTEGERS = (pa.uint64(), pa.decimal128(38, 0))


def from_mappings(rows: list[Any]) -> pa.RecordBatch:
    """A column for each key that any of the rows has, null where a row lacks it. Which columns a table has, and which values
    fit them, the server knows: a key that it does not know is its error."""
    keys: dict[str, None] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise _wrong(f"row {number} is of type {type(row).__name__}, not a dictionary")
        for key in row:
            if not isinstance(key, str):
                raise _wrong(f"row {number} has the key {key!r}, which is no text")
        keys.update(dict.fromkeys(row))
    if not keys:
        raise _wrong("the rows have no keys, so that they say nothing of any column")
    columns = [column(key, [row.get(key) for row in rows]) for key in keys]
    return pa.RecordBatch.from_arrays(columns, names=list(keys))


def column(name: str, values: list[Any]) -> pa.Array:
    """The values as the one type that takes them all."""
    try:
        column = pa.array(values)
    except OverflowError as error:
        column = _large_integers(name, values, error)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _wrong(f"column {name!r}: row {_culprit(values)}: {error}") from error
    if pa.types.is_date(column.type):
        for number, value in enumerate(values):
            if isinstance(value, datetime.datetime):
                raise _wrong(f"column {name!r}: row {number} is a time, and the rows before it are dates, which would lose it")
    return column


def _large_integers(name: str, values: list[Any], first: Exception) -> pa.Array:
    for wider in _LARGE_INTEGERS:
        try:
            return pa.array(values, wider)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            continue
    raise _wrong(f"column {name!r}: row {_culprit(values)}: {first}") from first


def _culprit(values: list[Any]) -> int:
    """The first row with which the values before it don't go together."""
    good, bad = 0, len(values)
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            pa.array(values[:middle])
            good = middle
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            bad = middle
    return bad - 1


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(message, "invalid_input")
