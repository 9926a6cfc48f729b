"""Rows of tables by key, of a consumer or a checkback handler that asks for the capability "tables".

    ORDERS = tables.Table("orders", key={"number": "Utf8"}, columns={"state": "Utf8"})
    Checkback = checkback_plugin(…, tables=[ORDERS])

Which table that is, the operator says.
"""

from componentize_py_types import Err
from wit_world.imports import tables

from .batch import Batch
from .message import record_batch

__all__ = ["Found", "Table", "Unavailable"]


class Unavailable(RuntimeError):
    """The table can't be read now; later it may be."""


class Table:
    """A table that rows are looked up in: what the plugin calls it, the columns that values are given for, and those that are
    wanted, with their Arrow types."""

    def __init__(self, name, *, key, columns):
        self.name, self.key, self.columns = name, list(key.items()), list(columns.items())

    def find(self, values):
        """The newest row of each key. `values` has a list of values for each column of the key, at most 65,536. A key that holds a
        None, and one that the table does not have, finds none."""
        keys = record_batch(self.key, values, len(values[self.key[0][0]]))
        try:
            found = tables.lookup(self.name, keys)
        except Err as error:
            kind = Unavailable if isinstance(error.value, tables.Error_Unavailable) else RuntimeError
            raise kind(getattr(error.value, "value", error.value)) from None
        return Found(Batch(found.batch, self.columns), found.rows)


class Found:
    """Rows that were found: `batch` has a row for each key that the table has."""

    def __init__(self, batch, keys):
        self.batch = batch
        self._rows = {key: row for row, key in enumerate(keys)}

    def row_of(self, key):
        """The row of `batch` that answers a key, by the key's place; None if there is none."""
        return self._rows.get(key)
