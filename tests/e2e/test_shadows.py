"""Versions of real guests beside those that topics call: compared without effect, over restarts; and one that drifts."""

import os
from pathlib import Path

from clients import make_table, sql
from conftest import ROOT, eventually
from millstream import connect

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
ROWS, EVERY = 2_000, 250


def load(server, name: str, guest: str, config: str = "", replace: bool = False) -> None:
    with connect(server.url) as connection:
        words = "CREATE OR REPLACE PLUGIN" if replace else "CREATE PLUGIN"
        connection.create_plugin(f"{words} {name} FROM UPLOAD WITH (config = '{config}')", (GUESTS / guest).read_bytes())


def read(server, topic: str, group: str) -> list[dict]:
    """What a new poll of a group gives."""
    return sql(server, f"SELECT * FROM poll('{topic}', '{group}', 10000, 500, auto_offset_reset => 'earliest')")


def shadow(server) -> dict:
    [row] = sql(server, "SELECT * FROM system.plugin_shadows")
    return row


def test_a_version_that_would_fail_is_found_out_beside_the_sound_one(serve):
    server = serve()
    make_table(server, "t", columns="value DOUBLE")
    load(server, "picky", "traps.wasm", "1000000")
    sql(server, "CREATE TOPIC sound AS SELECT value FROM t WHERE picky(value)")
    load(server, "picky", "traps.wasm", "negative", replace=True)
    sql(server, "ALTER TOPIC sound SHADOW PLUGIN picky VERSION 2")
    sql(server, f"INSERT INTO t SELECT CASE WHEN v % {EVERY} = 0 THEN -v ELSE v END FROM (SELECT unnest(range(1, {ROWS + 1})) AS v)")
    assert len(read(server, "sound", "a")) == ROWS
    found = eventually(lambda: shadow(server) if shadow(server)["rows_compared"] == ROWS else None, 60, "all compared")
    assert (found["version"], found["shadow_version"], found["rows_skipped"], found["error"]) == (1, 2, 0, None)
    assert (found["rows_different"], found["failures"]) == (ROWS // EVERY, ROWS // EVERY)
    differences = sql(server, 'SELECT "offset", old, new FROM system.plugin_shadow_differences')
    assert [row["offset"] for row in differences] == list(range(EVERY - 1, ROWS, EVERY))
    assert all(row["old"] == f"value -{row['offset'] + 1}.0" for row in differences), differences
    assert all(row["new"].startswith("trap: ") and "a row is below zero" in row["new"] for row in differences)
    # It has had no effect: its failures count for nobody, and its instances are its own.
    calls = sql(server, "SELECT version, traps FROM system.plugin_calls WHERE name = 'picky'")
    assert calls == [{"version": 1, "traps": 0}]

    server.kill()
    server.start()
    found = shadow(server)
    assert (found["shadow_version"], found["rows_compared"]) == (2, 0), "the shadow is there, and begins anew"
    assert len(read(server, "sound", "b")) == ROWS
    eventually(lambda: shadow(server)["rows_different"] == ROWS // EVERY, 60, "the same differences")
    sql(server, "ALTER TOPIC sound DROP SHADOW")
    assert sql(server, "SELECT * FROM system.plugin_shadows") == []
    assert len(read(server, "sound", "c")) == ROWS
    assert server.stop() == 0


def test_a_plugin_that_is_not_determined_by_its_rows_differs_from_itself(serve):
    server = serve()
    make_table(server, "t", columns="value DOUBLE")
    load(server, "drifts", "drifts.wasm")
    [row] = sql(server, "SELECT volatility FROM system.plugins WHERE name = 'drifts'")
    assert row["volatility"] == "immutable", "so it says"
    sql(server, "CREATE TOPIC kept AS SELECT value FROM t WHERE drifts(value)")
    sql(server, "INSERT INTO t VALUES (1)")
    assert len(read(server, "kept", "a")) == 1
    sql(server, "ALTER TOPIC kept SHADOW PLUGIN drifts VERSION 1")
    sql(server, "INSERT INTO t VALUES (2)")
    assert read(server, "kept", "a") == []
    found = eventually(lambda: shadow(server) if shadow(server)["rows_compared"] else None, 60, "the comparison")
    assert (found["version"], found["shadow_version"], found["rows_different"]) == (1, 1, 1)
    [row] = sql(server, 'SELECT "offset", old, new FROM system.plugin_shadow_differences')
    assert row == {"offset": 1, "old": "left out", "new": "value 2.0"}
    assert server.stop() == 0
