"""What a poll gives."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from ._rows_out import RowsOut


@dataclass(frozen=True)
class Batch(RowsOut):
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
        return int(self.data.num_rows)

    def to_arrow(self) -> pa.Table:
        """The rows as a pyarrow table; ``data`` has them as a record batch."""
        return pa.Table.from_batches([self.data])
