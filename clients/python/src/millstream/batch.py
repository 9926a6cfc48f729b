"""What a poll gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas
    import polars


@dataclass(frozen=True)
class Batch:
    """Rows of one partition of one topic, in offset order."""

    topic: str
    partition: int
    #: Offset of the first row that the batch answers for.
    first_offset: int
    #: What to commit once the batch is processed. Rows between that were filtered out are inside.
    next_offset: int
    generation: int
    data: pa.RecordBatch
    #: The source offset of each row, as int64.
    offsets: pa.Int64Array
    #: What the batch took of the flow-control credit.
    bytes: int = 0

    def __len__(self) -> int:
        return self.data.num_rows

    def to_pandas(self) -> pandas.DataFrame:
        """The rows as a pandas data frame."""
        return self.data.to_pandas()

    def to_polars(self) -> polars.DataFrame:
        """The rows as a polars data frame."""
        import polars

        return polars.from_arrow(self.data)

    def to_pylist(self) -> list[dict[str, Any]]:
        """The rows as dictionaries."""
        return self.data.to_pylist()
