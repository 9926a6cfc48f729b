"""Rows in any form, as record batches that a table takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ._arrow import is_arrow, to_table
from ._rows import from_mappings
from .errors import InvalidInput

#: What a table takes at once; no row may be larger.
COMMIT_BYTES = 8 << 20
#: A batch up to this goes whole, and so atomically: what it takes besides its rows still fits into a commit.
WHOLE_BYTES = 7 << 20
#: The parts of a larger one.
PART_BYTES = 4 << 20


def to_batches(rows: Any) -> list[pa.RecordBatch]:
    """Record batches out of Arrow data of any library (pyarrow, polars, a relation of DuckDB, a batch of a consumer's, …), a
    pandas data frame, whose index is left out, a mapping, or an iterable of mappings."""
    if isinstance(rows, pa.RecordBatch):
        return [rows]
    if type(rows).__module__.partition(".")[0] == "pandas":
        return _joined(_from_pandas(rows))
    if is_arrow(rows):
        return _joined(to_table(rows))
    if hasattr(rows, "to_arrow"):
        return to_batches(rows.to_arrow())
    if isinstance(rows, Mapping):
        return [from_mappings([rows])]
    if isinstance(rows, Iterable) and not isinstance(rows, (str, bytes)):
        rows = list(rows)
        return [from_mappings(rows)] if rows else []
    raise InvalidInput(f"rows of type {type(rows).__name__} can't be turned into Arrow batches", "invalid_input")


def _joined(table: pa.Table) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = table.combine_chunks().to_batches()
    return batches


def _from_pandas(frame: Any) -> pa.Table:
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInput(f"the data frame can't be turned into Arrow data: {error}", "invalid_input") from error


def parts(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """The batch without dictionaries, runs, views and Large* types, in as many parts as it takes; rows keep their order. At
    least one part, of no rows where there are none."""
    if _dictionary_bytes(batch) <= WHOLE_BYTES and (plain := _try_unpacked(batch)) is not None:
        return [plain] if plain.nbytes <= WHOLE_BYTES else _cut(plain)
    if batch.num_rows == 1:
        return _cut(_unpacked(batch))
    half = batch.num_rows // 2
    return parts(batch.slice(0, half)) + parts(batch.slice(half))


def _cut(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    cut, first = [], 0
    while first < batch.num_rows:
        part = batch.slice(first, _part_rows(batch, first))
        if part.nbytes > COMMIT_BYTES:
            raise InvalidInput(f"a row of the batch has {part.nbytes} bytes; a row may have {COMMIT_BYTES}", "invalid_input")
        cut.append(part)
        first += part.num_rows
    return cut


def _part_rows(batch: pa.RecordBatch, first: int) -> int:
    """How many rows from ``first`` on make a part: all that fit, and at least one."""
    fit, too_many = 1, batch.num_rows - first + 1
    while too_many - fit > 1:
        rows = (fit + too_many) // 2
        if batch.slice(first, rows).nbytes <= PART_BYTES:
            fit = rows
        else:
            too_many = rows
    return fit


def _dictionary_bytes(batch: pa.RecordBatch) -> int:
    """What dictionaries of text stand for: far more than they take, perhaps, so that it is asked before they are unpacked."""
    total = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            values = column.dictionary
            if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
                values = values.cast(_plain_type(values.type))
            if not pa.types.is_fixed_size_binary(values.type) and not pa.types.is_primitive(values.type):
                lengths = pc.cast(pc.binary_length(values), pa.int64())
                total += pc.sum(pc.take(lengths, column.indices)).as_py() or 0
    return total


def _try_unpacked(batch: pa.RecordBatch) -> pa.RecordBatch | None:
    """None where fewer rows at a time may succeed: plain texts of one batch hold 2 GiB."""
    try:
        return _unpacked(batch)
    except InvalidInput:
        if batch.num_rows <= 1:
            raise
        return None


def _unpacked(batch: pa.RecordBatch) -> pa.RecordBatch:
    fields = [pa.field(f.name, _plain_type(f.type), f.nullable, f.metadata) for f in batch.schema]
    if all(field.type == known.type for field, known in zip(fields, batch.schema)):
        return batch
    columns = [_plain(column, field) for column, field in zip(batch.columns, fields)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))


def _plain(column: pa.Array, field: pa.Field) -> pa.Array:
    try:
        if pa.types.is_run_end_encoded(column.type):
            column = pc.run_end_decode(column)
        return column if column.type == field.type else column.cast(field.type)
    except pa.ArrowException as error:
        message = f"column {field.name!r} of type {column.type} can't be sent: {error}"
        raise InvalidInput(message, "invalid_input") from error


def _plain_type(given: pa.DataType) -> pa.DataType:
    """The type that stands for the same values without an encoding; docs/types.md lists them."""
    types = pa.types
    if types.is_dictionary(given) or types.is_run_end_encoded(given):
        return _plain_type(given.value_type)
    if types.is_large_string(given) or types.is_string_view(given):
        return pa.string()
    if types.is_large_binary(given) or types.is_binary_view(given):
        return pa.binary()
    if types.is_list(given) or types.is_large_list(given) or types.is_list_view(given) or types.is_large_list_view(given):
        return pa.list_(_plain_field(given.value_field))
    if types.is_struct(given):
        return pa.struct([_plain_field(given.field(index)) for index in range(given.num_fields)])
    if types.is_map(given):
        return pa.map_(_plain_field(given.key_field), _plain_field(given.item_field))
    return given


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_type(field.type))
