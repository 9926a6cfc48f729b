"""A consumer that looks rows up in a table, inside a server: its rows are those of a SQL join, through appends to that table,
kill -9 and a limit that is too low."""

import os
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from clients import sql
from conftest import FLIGHTS, ROOT, eventually
from millstream import MillstreamError, Producer, connect
from pyarrow import parquet

ROUNDS = 8
FLIGHTS_OF_A_ROUND = 2_000
WEATHER = ROOT / "examples/data/weather.parquet"
GUEST = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests")) / "windy_delays.wasm"

CONSUMED = "SELECT ts, origin, dep_delay, wind_speed FROM windy"
JOINED = """
    SELECT f.ts, f.origin, f.dep_delay, w.wind_speed
    FROM flights f
    LEFT JOIN (SELECT origin, ts, last_value(wind_speed ORDER BY _offset) AS wind_speed FROM weather GROUP BY origin, ts) w
    ON w.origin = f.origin AND w.ts = date_trunc('hour', f.ts)
    WHERE f.dep_delay > 60"""
ORDERED = " ORDER BY ts, origin, dep_delay, wind_speed"


def rounds() -> list[tuple[pa.Table, pa.Table]]:
    """Flights, and the weather of their hours that no round before has."""
    columns = ["ts", "origin", "dep_delay"]
    flights = parquet.read_table(FLIGHTS, columns=columns).sort_by("ts").slice(0, ROUNDS * FLIGHTS_OF_A_ROUND)
    weather = parquet.read_table(WEATHER, columns=["origin", "ts", "wind_speed"])
    parts, seen = [], pa.scalar(None, weather.schema.field("ts").type)
    for first in range(0, flights.num_rows, FLIGHTS_OF_A_ROUND):
        part = flights.slice(first, FLIGHTS_OF_A_ROUND)
        last = pc.max(part["ts"])
        is_new = pc.less_equal(weather["ts"], last)
        if seen.is_valid:
            is_new = pc.and_(is_new, pc.greater(weather["ts"], seen))
        parts.append((part, weather.filter(is_new)))
        seen = last
    return parts


def outdated(weather: pa.Table) -> pa.Table:
    """The same keys with a wind that never blew."""
    return weather.set_column(2, "wind_speed", pa.array([-1.0] * weather.num_rows, pa.float32()))


def append(url: str, table: str, *parts: pa.Table) -> None:
    """Returns when all of it is acknowledged."""
    with Producer(table, {"url": url, "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 400}) as producer:
        for part in parts:
            for batch in part.to_batches(max_chunksize=300):
                producer.send(batch)


def status(server) -> dict:
    return sql(server, "SELECT * FROM system.plugin_consumers")[0]


def wait_for_end(server) -> None:
    def is_at_end():
        found = status(server)
        assert found["state"] != "stopped", found
        return found["lag"] == 0

    eventually(is_at_end, 120, "the consumer's end")


def check_rows(server) -> None:
    with connect(server.url) as connection:
        consumed = connection.execute(CONSUMED + ORDERED).to_pylist()
        joined = connection.execute(JOINED + ORDERED).to_pylist()
    assert consumed == joined
    assert any(row["wind_speed"] is not None for row in consumed)
    assert all(row["wind_speed"] != -1.0 for row in consumed)


@pytest.fixture
def windy(serve):
    """A server whose consumer ``c`` has nothing to read yet."""
    server = serve("--log-file-bytes", str(256 << 10))
    with connect(server.url) as connection:
        connection.execute(
            "CREATE TABLE flights (ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, origin VARCHAR, dep_delay REAL)"
            " WITH (partitions = 3, partition_key = (origin))"
        )
        connection.execute(
            "CREATE TABLE weather (origin VARCHAR, ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, wind_speed REAL)"
            " WITH (partitions = 2, partition_key = (origin))"
        )
        connection.execute(
            "CREATE TABLE windy (ts TIMESTAMP(3) WITH TIME ZONE, origin VARCHAR, dep_delay REAL, wind_speed REAL)"
        )
        connection.create_plugin("CREATE PLUGIN windy FROM UPLOAD WITH (table.weather = 'weather')", GUEST.read_bytes())
        connection.execute(
            "CREATE CONSUMER c ON flights USING PLUGIN windy WITH (output.delays = 'windy', batch_rows = 100, retries = 1)"
        )
    return server


def test_rows_are_those_of_a_join_through_kills(windy):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    grpc = windy.grpc
    for number, (flights, weather) in enumerate(rounds()):
        # Of two rows of a key the newer one counts, and it is there before the flights are.
        append(windy.url, "weather", outdated(weather), weather)
        append(windy.url, "flights", flights)
        if number % 2 == 1:
            time.sleep(chance.uniform(0.0, 0.05))
            windy.kill()
            windy.start(grpc=grpc)
    wait_for_end(windy)
    check_rows(windy)

    # What a running consumer has an index of changes once more: the next rows see it.
    flights, weather = rounds()[-1]
    risen = weather.set_column(2, "wind_speed", pc.add(weather["wind_speed"], pa.scalar(100.0, pa.float32())))
    before = sql(windy, "SELECT count(*) AS n FROM windy")[0]["n"]
    append(windy.url, "weather", risen)
    append(windy.url, "flights", flights)
    wait_for_end(windy)
    with connect(windy.url) as connection:
        seen = connection.execute(f"{CONSUMED} WHERE _offset >= {before}").to_pylist()
        newest = connection.execute("SELECT origin, ts, last_value(wind_speed ORDER BY _offset) AS wind FROM weather GROUP BY 1, 2")
    winds = {(row["origin"], row["ts"]): row["wind"] for row in newest.to_pylist()}
    late = flights.filter(pc.greater(flights["dep_delay"], 60)).to_pylist()
    hour = dict(minute=0, second=0, microsecond=0)
    expected = [{**row, "wind_speed": winds.get((row["origin"], row["ts"].replace(**hour)))} for row in late]
    assert sorted(seen, key=repr) == sorted(expected, key=repr)
    assert any(row["wind_speed"] is not None and row["wind_speed"] >= 100.0 for row in seen)
    assert windy.stop() == 0


def test_a_table_that_is_read_stays(windy):
    with connect(windy.url) as connection:
        for statement in ["DROP TABLE weather", "DROP TABLE weather FORCE"]:
            with pytest.raises(MillstreamError, match='table "weather" is in use by plugin "windy"'):
                connection.execute(statement)
        connection.execute("DROP CONSUMER c")
        connection.execute("DROP PLUGIN windy")
        connection.execute("DROP TABLE weather")


def test_a_limit_that_is_too_low_stops_the_consumer_until_it_is_raised(windy):
    flights, weather = rounds()[0]
    with connect(windy.url) as connection:
        connection.execute("CREATE OR REPLACE PLUGIN windy FROM VERSION 1 WITH (lookup = '4KiB')")
        connection.execute("RELOAD CONSUMER c")
    append(windy.url, "weather", weather)
    append(windy.url, "flights", flights)
    too_small = 'table "weather" does not fit: keys and rows of the plugin\'s tables may have 4096 bytes together, its limit lookup'

    def is_stopped():
        found = status(windy)
        return found["state"] == "stopped" and found

    found = eventually(is_stopped, what="the consumer's stop")
    assert too_small in found["error"], found
    # A restart tries it again, and finds the same.
    windy.kill()
    windy.start()
    assert too_small in eventually(is_stopped, what="the stop after a restart")["error"]
    with connect(windy.url) as connection:
        connection.execute("CREATE OR REPLACE PLUGIN windy FROM VERSION 2 WITH (lookup = '1MiB')")
        connection.execute("RELOAD CONSUMER c")
    wait_for_end(windy)
    check_rows(windy)
    assert status(windy)["rows_skipped"] == 0
    assert windy.stop() == 0
