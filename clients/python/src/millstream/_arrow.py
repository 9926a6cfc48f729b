"""Arrow data of other libraries, taken by Arrow's C interface (the PyCapsule protocol) and not by their names."""

from __future__ import annotations

import importlib
from typing import Any

import pyarrow as pa

from .errors import ARROW_ERRORS, InvalidInput


def is_arrow(rows: Any) -> bool:
    """Whether these are columns that Arrow takes as they are."""
    return hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "__arrow_c_array__")


def to_table(rows: Any) -> pa.Table:
    """All rows. A producer of columns that are no rows (an array of numbers) is an error."""
    try:
        if isinstance(rows, pa.Table):
            return rows
        if isinstance(rows, pa.RecordBatchReader):
            return rows.read_all()
        if hasattr(rows, "__arrow_c_stream__"):
            return pa.RecordBatchReader.from_stream(rows).read_all()
        return pa.Table.from_batches([pa.record_batch(rows)])
    except (*ARROW_ERRORS, TypeError) as error:
        raise InvalidInput(f"rows of type {type(rows).__name__} can't be taken as Arrow data: {error}", "invalid_input") from error


def import_library(name: str) -> Any:
    """A library that is installed only by those who use it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(f"{name} is not installed: pip install 'millstream[{name}]'", name=name) from error
