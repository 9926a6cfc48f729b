"""kill -9 under load, many times: nothing acknowledged is lost, nothing is doubled, readers go on."""

import threading
import time

import pyarrow as pa
from conftest import seeded
from millstream import Consumer, MillstreamError, Producer, connect

KILLS = 20
PARTITIONS = 3


def batch_of(sequence: int) -> pa.RecordBatch:
    rows = 1 + sequence % 50
    return pa.RecordBatch.from_pydict({
        "sequence": pa.array([sequence] * rows, pa.int64()),
        "row": pa.array(range(rows), pa.int32()),
        "text": [f"{sequence}/{row}" * (1 + sequence % 7) for row in range(rows)],
    })


class Writer(threading.Thread):
    """Sends batch after batch through crashes, and keeps every acknowledgement."""

    def __init__(self, url: str):
        super().__init__(daemon=True)
        self.acks: dict[int, list[tuple[int, int, int]]] = {}
        self.stop = threading.Event()
        self.failure: Exception | None = None
        self.producer = Producer("load", {"url": url, "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 400})

    def run(self) -> None:
        sequence = 0
        try:
            while not self.stop.is_set():
                for future in self.producer.send(batch_of(sequence), partition=sequence % PARTITIONS):
                    future.add_done_callback(self.keep)
                sequence += 1
            self.producer.close()
        except MillstreamError as error:
            self.failure = error

    def keep(self, future) -> None:
        if future.exception() is None:
            ack = future.result()
            self.acks[ack.sequence] = [(run.partition, run.first_offset, run.rows) for run in ack.appended]


def test_twenty_kills_under_load(serve):
    chance = seeded()
    server = serve("--segment-age-ms", "300", "--log-file-bytes", str(1 << 20))
    with connect(server.url) as connection:
        connection.execute(
            f"CREATE TABLE load (sequence BIGINT NOT NULL, row INT NOT NULL, text VARCHAR) WITH (partitions = {PARTITIONS})"
        )
    grpc = server.grpc
    writer = Writer(server.url)
    writer.start()
    member = Consumer({
        "url": server.url, "group.id": "reader", "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 400,
    })
    member.subscribe(["load"])
    read: dict[int, int] = {partition: 0 for partition in range(PARTITIONS)}
    for _ in range(KILLS):
        deadline = time.monotonic() + chance.uniform(0.1, 0.6)
        while time.monotonic() < deadline:
            follow(member, read, 0.05)
        server.kill()
        server.start(grpc=grpc)
    writer.stop.set()
    writer.join(120)
    assert writer.failure is None, writer.failure
    with connect(server.url) as connection:
        rows = connection.execute("SELECT _partition AS p, _offset AS o, sequence, row, text FROM load ORDER BY p, o").to_pylist()
    sequences = len(writer.acks)
    assert sequences > KILLS, "the load made no progress"
    check_rows(rows, writer.acks)
    ends = {partition: sum(row["p"] == partition for row in rows) for partition in range(PARTITIONS)}
    while read != ends:
        assert follow(member, read, 20.0), f"the reader stands at {read}, the log ends at {ends}"
    member.close()
    assert server.stop() == 0


def follow(member: Consumer, read: dict[int, int], timeout_s: float) -> bool:
    """Takes one batch: it must go on where the partition's last one ended."""
    batch = member.poll(timeout_s)
    if batch is None:
        return False
    offsets = batch.offsets.to_pylist()
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets))), "a gap within a batch"
    assert offsets[0] <= read[batch.partition], f"rows {read[batch.partition]}..{offsets[0]} were left out"
    read[batch.partition] = max(read[batch.partition], batch.next_offset)
    return True


def check_rows(rows: list[dict], acks: dict[int, list[tuple[int, int, int]]]) -> None:
    by_place = {(row["p"], row["o"]): row for row in rows}
    for partition in range(PARTITIONS):
        offsets = [row["o"] for row in rows if row["p"] == partition]
        assert offsets == list(range(len(offsets))), "offsets are not dense"
    for sequence, runs in acks.items():
        expected = batch_of(sequence).to_pylist()
        found = [by_place.get((p, first + i)) for p, first, count in runs for i in range(count)]
        assert [f and {k: f[k] for k in ("sequence", "row", "text")} for f in found] == expected, f"batch {sequence}"
    assert len({(row["sequence"], row["row"]) for row in rows}) == len(rows), "a row is there twice"
