"""Rows that a real plugin traps on: kept once, through kills; replayed; and plugins that only fail are suspended."""

import os
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from clients import make_table, sql
from conftest import ROOT, seeded
from millstream import Consumer, MillstreamError, connect

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
ROWS, EVERY = 4_000, 250


def load(server, config: str, replace: bool = False, name: str = "picky") -> None:
    """The guest `traps`: with `negative` it traps on rows below zero, with a number in that call of an instance."""
    with connect(server.url) as connection:
        words = "CREATE OR REPLACE PLUGIN" if replace else "CREATE PLUGIN"
        connection.create_plugin(f"{words} {name} FROM UPLOAD WITH (config = '{config}')", (GUESTS / "traps.wasm").read_bytes())


def fill(server) -> None:
    """Every 250th value is below zero."""
    make_table(server, "t", columns="value DOUBLE, note VARCHAR")
    sql(server, f"INSERT INTO t SELECT CASE WHEN v % {EVERY} = 0 THEN -v ELSE v END, 'row ' || v "
                f"FROM (SELECT unnest(range(1, {ROWS + 1})) AS v)")


def metric(server, name: str) -> dict[str, float]:
    text = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10).read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
    return {series: float(value) for series, value in lines}


def read_all(url: str, topic: str, group: str, rows: int) -> list[float]:
    keys = {"url": url, "group.id": group, "auto.offset.reset": "earliest", "max.poll.rows": 500}
    values: list[float] = []
    with Consumer(keys) as member:
        member.subscribe([topic])
        while len(values) < rows:
            batch = member.poll(20.0)
            assert batch is not None, f"only {len(values)} of {rows} rows came"
            values += batch.data["value"].to_pylist()
    return values


def test_letters_are_kept_once_through_kills_and_go_through_the_next_version(serve):
    chance = seeded()
    server = serve()
    fill(server)
    load(server, "negative")
    sql(server, "CREATE TOPIC sound WITH (on_error = 'dead_letter') AS SELECT value, note FROM t WHERE picky(value)")
    good = ROWS - ROWS // EVERY
    grpc = server.grpc
    for kill in range(4):
        reader = threading.Thread(target=ignore_breaks, args=(f"grpc://{grpc}", f"reader {kill}", good), daemon=True)
        reader.start()
        time.sleep(chance.uniform(0.0, 0.6))
        server.kill()
        server.start(grpc)
        reader.join(timeout=120)
    assert sorted(read_all(server.url, "sound", "last", good)) == [v for v in range(1, ROWS + 1) if v % EVERY]

    letters = sql(server, "SELECT * FROM sound$dead_letter ORDER BY _source_offset")
    assert [letter["_source_offset"] for letter in letters] == [v - 1 for v in range(EVERY, ROWS + 1, EVERY)]
    for letter in letters:
        assert letter["value"] == -(letter["_source_offset"] + 1) and letter["note"] == f"row {-int(letter['value'])}"
        assert (letter["_plugin"], letter["_plugin_version"], letter["_failure"]) == ("picky", 1, "trap")
        assert "a row is below zero" in letter["_message"]

    # Since the last start somebody has evaluated, and the guest has said where.
    said = sql(server, "SELECT * FROM system.plugin_logs WHERE level = 'warning' AND topic IS NOT NULL")
    assert said and all(line["topic"] == "sound" and line["partition"] == 0 for line in said)
    assert any(line["line"] == "1 rows of 1 are below zero" and line["offset"] % EVERY == EVERY - 1 for line in said)
    [figures] = sql(server, "SELECT * FROM system.plugin_calls WHERE name = 'picky'")
    assert figures["traps"] > 0 and figures["calls"] > figures["traps"] and figures["p50_us"] <= figures["p99_us"]
    assert figures["rows_out"] >= good and figures["suspended"] is None and figures["memory_peak_bytes"] > 0
    [counted] = metric(server, "millstream_plugin_call_seconds_count").values()
    assert counted >= figures["calls"]
    assert "picky" in server.cli("plugin", "stats", "picky") and "below zero" in server.cli("plugin", "logs", "picky")

    load(server, "1000000", replace=True)
    sql(server, "RELOAD TOPIC sound")
    sql(server, "CREATE TOPIC again AS SELECT value, note FROM sound$dead_letter WHERE _topic_version = 1 AND picky(value)")
    assert sorted(read_all(server.url, "again", "replay", len(letters))) == sorted(letter["value"] for letter in letters)
    assert len(read_all(server.url, "sound", "reloaded", ROWS)) == ROWS
    assert len(sql(server, "SELECT 1 AS one FROM sound$dead_letter")) == len(letters)
    assert server.stop() == 0


def ignore_breaks(url: str, group: str, rows: int) -> None:
    try:
        read_all(url, "sound", group, rows)
    except (MillstreamError, AssertionError):
        pass  # the server was killed


def test_a_plugin_that_only_fails_is_suspended_and_writes_no_letters(serve):
    server = serve()
    fill(server)
    load(server, "1", name="broken")
    load(server, "1000000", name="whole")
    sql(server, "CREATE TOPIC lost WITH (on_error = 'dead_letter') AS SELECT value FROM t WHERE broken(value)")
    sql(server, "CREATE TOPIC fine AS SELECT value FROM t WHERE whole(value)")
    with pytest.raises(MillstreamError, match="is suspended: 64 calls in a row failed.*ALTER PLUGIN broken RESUME"):
        read_all(server.url, "lost", "g", 1)
    assert sql(server, "SELECT * FROM lost$dead_letter") == []
    assert len(read_all(server.url, "fine", "g", ROWS)) == ROWS, "topics without it notice nothing"
    [row] = sql(server, "SELECT suspended FROM system.plugins WHERE name = 'broken'")
    assert "version 1: 64 calls in a row failed" in row["suspended"]
    suspended = {series.split('plugin="')[1].split('"')[0]: value
                 for series, value in metric(server, "millstream_plugin_suspended").items()}
    assert suspended == {"broken": 1.0, "whole": 0.0}
    assert "suspended: 64 calls" in Path(f"{server.data}.log").read_text()
    # It lasts: what the server knows of it is in its log.
    assert server.stop() == 0
    server.start()
    [row] = sql(server, "SELECT suspended FROM system.plugins WHERE name = 'broken'")
    assert "version 1: 64 calls in a row failed" in row["suspended"]
    with pytest.raises(MillstreamError, match="is suspended: 64 calls in a row failed"):
        read_all(server.url, "lost", "g", 1)
    uses = sql(server, "SELECT used_for, used_by, calls FROM system.plugin_uses WHERE name = 'whole'")
    assert uses == [], "nobody has called it since the start"
    assert "is called again: version 1" in server.cli("plugin", "resume", "broken")
    [row] = sql(server, "SELECT suspended FROM system.plugins WHERE name = 'broken'")
    assert row["suspended"] is None
    with pytest.raises(MillstreamError, match="broken"):
        sql(server, "SELECT count(*) FROM t WHERE broken(value)")
    assert sql(server, "SELECT count(*) AS n FROM t WHERE whole(value)") == [{"n": ROWS}]
    assert len(read_all(server.url, "fine", "h", ROWS)) == ROWS
    uses = sql(server, "SELECT used_for, used_by, rows_in FROM system.plugin_uses WHERE name = 'whole' ORDER BY used_for")
    assert uses == [{"used_for": "query", "used_by": "", "rows_in": ROWS}, {"used_for": "topic", "used_by": "fine", "rows_in": ROWS}]
    busy = metric(server, "millstream_plugin_use_busy_seconds_total{")
    assert any('used_for="topic",used_by="fine"' in series and value > 0 for series, value in busy.items()), busy
    assert server.stop() == 0
