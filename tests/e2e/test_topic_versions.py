"""A function that a topic calls is replaced at offsets, under a subscriber, appends and SIGKILLs."""

import os
import threading
from pathlib import Path

from clients import consumer, make_table, sql
from conftest import ROOT, eventually
from millstream import MillstreamError, connect

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
CHANGES = 8
UNITS = ["mph", "km/h"]


def load(server, units: str, replace: bool) -> None:
    words = "CREATE OR REPLACE PLUGIN" if replace else "CREATE PLUGIN"
    with connect(server.url) as connection:
        module = (GUESTS / "ground_speed.wasm").read_bytes()
        connection.create_plugin(f"{words} ground_speed FROM UPLOAD WITH (config = '{units}')", module)


def units_of(distance: float, speed: float) -> str:
    """Every flight takes an hour."""
    return "mph" if abs(speed - distance) < 1e-6 * distance else "km/h"


class Reader(threading.Thread):
    """Polls as long as it is asked to; knows the units of each row by its place."""

    def __init__(self, server, group: str):
        super().__init__(daemon=True)
        self.server, self.group, self.rows, self.ended = server, group, {}, threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with consumer(self.server.url, self.group) as member:
                member.subscribe(["speeds"])
                while not self.ended.is_set():
                    self.take(member.poll(0.2))
        except BaseException as error:
            self.error = error

    def take(self, batch) -> None:
        if batch is None:
            return
        rows = zip(batch.offsets.to_pylist(), batch.data["distance"].to_pylist(), batch.data["speed"].to_pylist(), strict=True)
        for offset, distance, speed in rows:
            units = units_of(distance, speed)
            before = self.rows.setdefault((batch.partition, offset), units)
            assert before == units, f"partition {batch.partition} offset {offset} was in {before}, and then in {units}"


class Writer(threading.Thread):
    """Inserts as long as it is asked to, over restarts."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.inserted, self.ended = server, 0, threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                sql(self.server, "INSERT INTO t SELECT v + 1.0, 60.0 FROM (SELECT unnest(range(1, 51)) AS v)")
                self.inserted += 50
            except MillstreamError:
                self.ended.wait(0.1)


def recorded(server) -> list[dict]:
    return sql(server, "SELECT * FROM system.topic_versions WHERE topic = 'speeds'")


def check(server, rows: dict) -> None:
    """Every row is in the units of the version that is recorded for its place."""
    versions = recorded(server)
    for (partition, offset), units in rows.items():
        [version] = [
            found for found in versions
            if found["partition"] == partition and found["first_offset"] <= offset
            and (found["next_offset"] is None or offset < found["next_offset"])
        ]
        plugin, number = version["plugins"].split()
        assert plugin == "ground_speed"
        assert units == UNITS[(int(number) - 1) % 2], f"partition {partition} offset {offset} of {version}"


def test_each_row_is_of_the_version_that_is_recorded_for_its_offset(serve):
    server = serve()
    make_table(server, "t", partitions=2, columns="distance DOUBLE, air_time DOUBLE")
    load(server, UNITS[0], replace=False)
    sql(server, "CREATE TOPIC speeds AS SELECT distance, ground_speed(distance, air_time) AS speed FROM t")
    reader, writer = Reader(server, "live"), Writer(server)
    reader.start()
    writer.start()
    for change in range(1, CHANGES + 1):
        before = writer.inserted
        eventually(lambda before=before: writer.inserted >= before + 100, what="rows of the version")
        load(server, UNITS[change % 2], replace=True)
        if change % 3 == 0:
            # Killed while it changes: it has, or it has not.
            reload = threading.Thread(target=try_reload, args=[server])
            reload.start()
            threading.Event().wait(0.003 * change)
            server.kill()
            reload.join()
            server.start(server.grpc)
        sql(server, "RELOAD TOPIC speeds AT LATEST")
    before = writer.inserted
    eventually(lambda: writer.inserted >= before + 100, what="rows of the last version")
    writer.ended.set()
    writer.join()
    [total] = sql(server, "SELECT count(*) AS n FROM t")
    eventually(lambda: reader.error or len(reader.rows) == total["n"], what="all rows")
    reader.ended.set()
    reader.join()
    assert reader.error is None
    plugins = {version["plugins"] for version in recorded(server)}
    assert {f"ground_speed {number}" for number in range(1, CHANGES + 2)} == plugins
    check(server, reader.rows)
    history = sql(server, "SELECT _partition AS p, _offset AS o, distance, speed FROM speeds")
    assert {(row["p"], row["o"]): units_of(row["distance"], row["speed"]) for row in history} == reader.rows
    late = Reader(server, "late")
    late.start()
    eventually(lambda: late.error or len(late.rows) == total["n"], what="all rows again")
    late.ended.set()
    late.join()
    assert late.error is None
    assert late.rows == reader.rows
    assert server.stop() == 0


def try_reload(server) -> None:
    try:
        sql(server, "RELOAD TOPIC speeds AT LATEST")
    except MillstreamError:
        pass
