"""A consumer that is a plugin, through kill -9: its output is what a query over its whole input gives, each row once."""

import os
import threading
import time
from pathlib import Path

import pyarrow as pa
from conftest import FLIGHTS, ROOT, eventually, seeded
from millstream import MillstreamError, Producer, connect
from pyarrow import parquet

KILLS = 6
GUEST = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests")) / "hourly_delays.wasm"

HOURS = """
    SELECT origin, hour, last_value(late ORDER BY _offset) AS late, last_value(delay_minutes ORDER BY _offset) AS minutes
    FROM hours GROUP BY origin, hour"""
BATCH = """
    SELECT origin, date_trunc('hour', ts) AS hour, count(*) AS late, CAST(sum(dep_delay) AS DOUBLE) AS minutes
    FROM flights WHERE dep_delay > 60 GROUP BY 1, 2"""


class Writer(threading.Thread):
    """Sends flights through crashes, each once."""

    def __init__(self, url: str, batches: list[pa.RecordBatch]):
        super().__init__(daemon=True)
        self.batches = batches
        self.failure: Exception | None = None
        self.producer = Producer("flights", {"url": url, "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 400})

    def run(self) -> None:
        try:
            for batch in self.batches:
                self.producer.send(batch)
                time.sleep(0.01)
            self.producer.close()
        except MillstreamError as error:
            self.failure = error


def status(url: str) -> dict:
    with connect(url) as connection:
        return connection.execute("SELECT * FROM system.plugin_consumers").to_pylist()[0]


def test_sums_are_those_of_a_query_after_kills(serve):
    chance = seeded()
    flights = parquet.read_table(FLIGHTS, columns=["ts", "origin", "dep_delay"]).slice(0, 60_000)
    # Small log files: some of the kills are followed by opening from a checkpoint.
    server = serve("--log-file-bytes", str(256 << 10))
    with connect(server.url) as connection:
        connection.execute(
            "CREATE TABLE flights (ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, origin VARCHAR, dep_delay REAL)"
            " WITH (partitions = 3, partition_key = (origin))"
        )
        connection.execute(
            "CREATE TABLE hours (origin VARCHAR, hour TIMESTAMP(3) WITH TIME ZONE, late BIGINT, delay_minutes DOUBLE)"
            " WITH (partitions = 2, partition_key = (origin))"
        )
        connection.create_plugin("CREATE PLUGIN hourly FROM UPLOAD WITH (grant = 'state')", GUEST.read_bytes())
        connection.execute("CREATE CONSUMER c ON flights USING PLUGIN hourly WITH (output.hours = 'hours', batch_rows = 50)")
    grpc = server.grpc
    writer = Writer(server.url, flights.to_batches(max_chunksize=200))
    writer.start()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.2, 0.8))
        server.kill()
        server.start(grpc=grpc)
    writer.join(120)
    assert writer.failure is None, writer.failure
    eventually(lambda: status(server.url)["lag"] == 0, 120, "the consumer's end")
    found = status(server.url)
    assert (found["state"], found["rows_skipped"]) == ("running", 0), found
    assert found["state_bytes"] > 0
    with connect(server.url) as connection:
        rows = connection.execute("SELECT count(*) AS n FROM flights").to_pylist()[0]["n"]
        assert rows == flights.num_rows
        kept = connection.execute(f"{HOURS} ORDER BY 1, 2").to_pylist()
        expected = connection.execute(f"{BATCH} ORDER BY 1, 2").to_pylist()
        # Running totals only rise: one that comes twice was consumed twice.
        repeated = connection.execute(
            "SELECT count(*) AS n FROM (SELECT origin, hour, late FROM hours GROUP BY 1, 2, 3 HAVING count(*) > 1)"
        ).to_pylist()[0]["n"]
    assert len(kept) > 100
    assert kept == expected
    assert repeated == 0
    assert server.stop() == 0
