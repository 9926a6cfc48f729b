"""What a statement gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ._rows_out import RowsOut


class Result(RowsOut):
    """All rows of a statement. Of one that gives none it is one row, with ``rows`` (how many were inserted or copied) and
    ``message``."""

    __slots__ = ("_table",)

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._table.schema

    @property
    def column_names(self) -> list[str]:
        """The columns in their order."""
        names: list[str] = self._table.column_names
        return names

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Row by row, as dictionaries."""
        for batch in self._table.to_batches():
            yield from batch.to_pylist()

    def to_arrow(self) -> pa.Table:
        """The rows as a pyarrow table."""
        return self._table

    def __repr__(self) -> str:
        return f"Result({len(self)} rows of {', '.join(f'{field.name}: {field.type}' for field in self.schema)})"
