"""Parameters of a statement as the record batch that Flight SQL binds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ._arrow import is_arrow, to_table
from ._rows import column
from .errors import InvalidInput


def one_row(parameters: Sequence[Any]) -> pa.RecordBatch:
    """The values of ``$1``, ``$2``, …"""
    _require_sequence(parameters, "the parameters")
    return _batch([column(f"${place + 1}", [value]) for place, value in enumerate(parameters)])


def rows(given: Any) -> pa.RecordBatch:
    """Rows of them: sequences of values, or Arrow data whose columns count by their places."""
    if is_arrow(given):
        table = to_table(given).combine_chunks()
        return _batch([_one_chunk(values) for values in table.columns])
    given = list(given)
    for number, row in enumerate(given):
        _require_sequence(row, f"row {number} of the parameters")
        if len(row) != len(given[0]):
            raise InvalidInput(f"row {number} has {len(row)} parameters, and the first has {len(given[0])}", "invalid_input")
    return _batch([column(f"${place + 1}", [row[place] for row in given]) for place in range(len(given[0]) if given else 0)])


def _require_sequence(values: Any, what: str) -> None:
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence):
        raise InvalidInput(f"{what} are of type {type(values).__name__}, not a list of values for $1, $2, …", "invalid_input")


def _batch(columns: list[pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(columns, names=[str(place + 1) for place in range(len(columns))])


def _one_chunk(values: pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
