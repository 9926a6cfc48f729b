"""Rows that are handed out, in the forms of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ._arrow import import_library

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars


class RowsOut:
    """What :class:`millstream.Batch` and :class:`millstream.Result` have in common.

    They are producers of Arrow data by the PyCapsule protocol, so that libraries which know it take them as they are:
    ``duckdb.sql("FROM batch")``, ``polars.DataFrame(batch)``, ``pyarrow.table(batch)``. The other way round,
    ``Producer.send`` takes what these libraries have. Nothing is copied but what a library itself does."""

    __slots__ = ()

    def to_arrow(self) -> pa.Table:
        """The rows as a pyarrow table."""
        raise NotImplementedError

    def to_pandas(self, **options: Any) -> pandas.DataFrame:
        """The rows as a pandas data frame; ``options`` are those of ``pyarrow.Table.to_pandas``. Needs pandas: raises
        ``ModuleNotFoundError`` where it is not installed."""
        import_library("pandas")
        frame: pandas.DataFrame = self.to_arrow().to_pandas(**options)
        return frame

    def to_polars(self) -> polars.DataFrame:
        """The rows as a polars data frame. Needs polars: raises ``ModuleNotFoundError`` where it is not installed."""
        frame: polars.DataFrame = import_library("polars").from_arrow(self.to_arrow())
        return frame

    def to_duckdb(self, connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
        """The rows as a relation of DuckDB, of ``connection`` or the default one. Needs duckdb: raises ``ModuleNotFoundError``
        where it is not installed."""
        library = import_library("duckdb")
        into = connection if connection is not None else library.default_connection()
        relation: duckdb.DuckDBPyRelation = library.from_arrow(self.to_arrow(), connection=into)
        return relation

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        rows: list[dict[str, Any]] = self.to_arrow().to_pylist()
        return rows

    def __arrow_c_schema__(self) -> object:
        """The schema as a capsule of Arrow's C interface."""
        capsule: object = self.to_arrow().schema.__arrow_c_schema__()
        return capsule

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows as a capsule of Arrow's C interface."""
        capsule: object = self.to_arrow().__arrow_c_stream__(requested_schema)
        return capsule
