"""What the tests of the Python client share."""

from __future__ import annotations

import pyarrow as pa
from millstream import Batch, Consumer, connect


def numbers(start: int, count: int) -> pa.RecordBatch:
    """A batch with the column ``id``."""
    return pa.RecordBatch.from_pydict({"id": pa.array(range(start, start + count), pa.int64())})


def make_table(server, name: str, partitions: int = 1, columns: str = "id BIGINT NOT NULL") -> None:
    with connect(server.url) as connection:
        connection.execute(f"CREATE TABLE {name} ({columns}) WITH (partitions = {partitions})")


def sql(server, statement: str) -> list[dict]:
    with connect(server.url) as connection:
        return connection.execute(statement).to_pylist()


def consumer(url: str, group: str, **keys) -> Consumer:
    """A member of a group that begins at the start, with commits by hand; ``max_poll_rows`` stands for max.poll.rows."""
    settings = {
        "url": url, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 200,
    }
    return Consumer({**settings, **{key.replace("_", "."): value for key, value in keys.items()}})


def take(member: Consumer, rows: int) -> list[Batch]:
    """Batches until there are so many rows."""
    batches: list[Batch] = []
    while sum(map(len, batches)) < rows:
        batch = member.poll(20.0)
        assert batch is not None, f"only {sum(map(len, batches))} of {rows} rows came"
        batches.append(batch)
    return batches


def ids(batches) -> list[int]:
    return [value for batch in batches for value in batch.data["id"].to_pylist()]
