"""Continuous topics of a real server: through kills, and over RocketMQ's messages."""

import random
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pyarrow as pa
from clients import consumer, sql
from conftest import eventually, seeded
from millstream import Consumer, Producer, connect
from mq_http_sdk.mq_client import MQClient
from mq_http_sdk.mq_producer import TopicMessage

KILLS = 6
PARTITIONS = 3
BEGIN = datetime(2024, 5, 1)
SIZE, STEP = 60, 20


def trips(at: int, chance: random.Random) -> pa.RecordBatch:
    """Rows of about second ``at``, some of them minutes too late."""
    rows = chance.randrange(1, 40)
    back = [chance.choice([0, 5, 20, 200]) + chance.random() for _ in range(rows)]
    return pa.RecordBatch.from_pydict({
        "ts": pa.array([BEGIN + timedelta(seconds=at + 300 - seconds) for seconds in back], pa.timestamp("us")),
        "city": pa.array([chance.choice(["ulm", "jena", None]) for _ in range(rows)], pa.string()),
        "fare": pa.array([chance.randrange(100) for _ in range(rows)], pa.int64()),
    })


def ends(ts: datetime) -> list[datetime]:
    """Of the windows that a time is in."""
    first = BEGIN + timedelta(seconds=((ts - BEGIN) // timedelta(seconds=STEP) + 1) * STEP)
    return [first + timedelta(seconds=seconds) for seconds in range(0, SIZE, STEP)]


def follow(member: Consumer, came: Counter, until: float) -> None:
    while time.monotonic() < until:
        if (batch := member.poll(0.05)) is not None:
            came.update(map(tuple, (row.values() for row in batch.data.to_pylist())))


def test_windows_are_given_once_through_kills(serve):
    chance = seeded()
    server = serve("--segment-age-ms", "300", "--log-file-bytes", str(1 << 20))
    with connect(server.url) as connection:
        connection.execute(
            "CREATE TABLE trips (ts TIMESTAMP NOT NULL, city VARCHAR, fare BIGINT) "
            f"WITH (time_column = 'ts', watermark_delay = '30s', partitions = {PARTITIONS})"
        )
        connection.execute(
            "CREATE TOPIC fares AS SELECT window_end, city, count(*) AS trips, sum(fare) AS fares FROM "
            f"HOP(TABLE trips, DESCRIPTOR(ts), INTERVAL '{STEP}' SECOND, INTERVAL '{SIZE}' SECOND) GROUP BY window_end, city"
        )
    grpc = server.grpc
    settings = {"url": server.url, "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 400}
    producer = Producer("trips", settings)
    member = consumer(server.url, "readers")
    member.subscribe(["fares"])
    came: Counter = Counter()
    at = 0
    for killed in range(KILLS + 1):
        futures = []
        for _ in range(chance.randrange(5, 60)):
            at += chance.randrange(20)
            futures += producer.send(trips(at, chance), partition=chance.randrange(PARTITIONS))
        follow(member, came, time.monotonic() + chance.random() / 2)
        if killed < KILLS:
            server.kill()
            server.start(grpc=grpc)
        for future in futures:
            future.result(60)
    producer.close()
    sql(server, f"ALTER TABLE trips ADVANCE WATERMARK TO TIMESTAMP '{BEGIN + timedelta(seconds=at + 1000)}'")
    state = "SELECT lag, open_windows, stopped FROM system.continuous_topics"
    eventually(lambda: sql(server, state) == [{"lag": 0, "open_windows": 0, "stopped": None}], 60, "the last window")

    late = {(row["p"], row["o"], row["w"]) for row in sql(server, """
        SELECT source_partition AS p, source_offset AS o, CAST(window_end AS TIMESTAMP) AS w FROM "fares$late\"""")}
    expected: dict = defaultdict(lambda: [0, 0])
    missed = 0
    for row in sql(server, "SELECT _partition AS p, _offset AS o, ts, city, fare FROM trips"):
        for end in ends(row["ts"]):
            if (row["p"], row["o"], end) in late:
                missed += 1
                continue
            group = expected[end, row["city"]]
            group[0] += 1
            group[1] += row["fare"]
    assert missed > 0, "nothing was late"
    rows = Counter((end, city, *group) for (end, city), group in expected.items())
    missed_in_table = sql(server, 'SELECT count(*) AS n FROM "fares$late"')[0]["n"]
    assert missed_in_table == missed == len(late), "each late row once for each window"
    kept = Counter(tuple(row.values()) for row in sql(server, "SELECT window_end, city, trips, fares FROM fares"))
    assert kept == rows
    deadline = time.monotonic() + 60
    while came != rows and time.monotonic() < deadline:
        follow(member, came, time.monotonic() + 0.2)
    assert came == rows, "what was consumed"
    member.close()
    assert server.stop() == 0


def test_windows_over_messages(serve):
    """Messages have the time of their append, and event time goes on with the clock when none come."""
    server = serve()
    sql(server, "CREATE TABLE orders OF MESSAGES WITH (partitions = 2)")
    sql(server, """
        CREATE TOPIC per_second WITH (idle = '1s') AS SELECT window_end, tag, count(*) AS n
        FROM TUMBLE((SELECT _append_ts AS at, tag FROM orders), DESCRIPTOR(at), INTERVAL '1' SECOND) GROUP BY window_end, tag""")
    producer = MQClient(f"http://{server.http}", "key", "secret").get_producer("", "orders")
    for number in range(60):
        producer.publish_message(TopicMessage(f"order {number}", "paid" if number % 3 else "open"))
        time.sleep(0.03)
    def counted() -> list[dict]:
        return sql(server, "SELECT tag, CAST(sum(n) AS BIGINT) AS n, count(*) > 1 AS several FROM per_second GROUP BY tag ORDER BY tag")
    expected = [{"tag": "open", "n": 20, "several": True}, {"tag": "paid", "n": 40, "several": True}]
    eventually(lambda: counted() == expected, 60, "all windows")
    batch = """SELECT window_end, tag, count(*) AS n
        FROM TUMBLE((SELECT _append_ts AS at, tag FROM orders), DESCRIPTOR(at), INTERVAL '1' SECOND) GROUP BY window_end, tag"""
    assert sql(server, f"SELECT count(*) AS n FROM ((SELECT * FROM per_second) EXCEPT ({batch}))") == [{"n": 0}]
    assert sql(server, "SELECT late_rows, stopped FROM system.continuous_topics") == [{"late_rows": 0, "stopped": None}]
