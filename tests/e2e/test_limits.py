"""Limits of namespaces: readers of a topic whose plugin is over its share wait and miss nothing; limits outlast kills."""

import os
import time
import urllib.request
from pathlib import Path

import pytest
from clients import consumer, make_table, sql, take
from conftest import ROOT
from millstream import MillstreamError, connect

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
BATCH, BATCHES = 8_192, 4


def load(server, name: str, options: str = "") -> None:
    with connect(server.url) as connection:
        statement = f"CREATE PLUGIN {name} FROM UPLOAD WITH (config = '1000000'{options})"
        connection.create_plugin(statement, (GUESTS / "traps.wasm").read_bytes())


def metric(server, name: str) -> float:
    text = urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10).read().decode()
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.rsplit(" ", 1)[1])


def test_readers_wait_for_a_namespace_over_its_rate_and_limits_outlast_a_kill(serve):
    server = serve()
    make_table(server, "t", columns="value DOUBLE")
    for batch in range(BATCHES):
        sql(server, f"INSERT INTO t SELECT CAST(v AS DOUBLE) FROM (SELECT unnest(range({batch * BATCH}, {(batch + 1) * BATCH})) AS v)")
    load(server, "every")
    sql(server, "CREATE TOPIC all_rows AS SELECT value FROM t WHERE every(value)")
    sql(server, "ALTER NAMESPACE public SET (plugin_output_rate = 1024, plugin_concurrency = 8)")
    began = time.monotonic()
    with consumer(server.url, "slow") as member:
        member.subscribe(["all_rows"])
        batches = take(member, BATCH * BATCHES)
    values = [value for batch in batches for value in batch.data["value"].to_pylist()]
    assert values == [float(value) for value in range(BATCH * BATCHES)], "in order, and none is missing"
    # A bit for each row: the first call has the burst, and each of the others a second.
    assert time.monotonic() - began > 1.5
    [use] = sql(server, "SELECT * FROM system.plugin_uses WHERE used_by = 'all_rows'")
    assert use["rows_in"] == BATCH * BATCHES and use["failures"] == 0
    assert use["throttled"] > 0 and use["throttled_us"] > 1_000_000, use
    assert 0 < use["p50_us"] <= use["p99_us"] <= use["max_us"], use
    [namespace] = sql(server, "SELECT * FROM system.plugin_namespaces WHERE namespace = 'public'")
    assert namespace["throttled"] > 0 and namespace["output_bytes"] == BATCH * BATCHES // 8, namespace
    assert metric(server, 'millstream_plugin_namespace_throttled_total{namespace="public"}') > 0

    with pytest.raises(MillstreamError, match="plugin_concurrency of namespace \"public\" is 8"):
        load(server, "other", ", concurrency = 9")
    server.kill()
    server.start()
    [limits] = sql(server, "SELECT * FROM system.namespaces")
    assert (limits["plugin_output_rate"], limits["plugin_concurrency"], limits["plugin_memory"]) == (1024, 8, None)
    sql(server, "ALTER NAMESPACE public SET (plugin_output_rate = 'default')")
    with consumer(server.url, "fast") as member:
        member.subscribe(["all_rows"])
        take(member, BATCH * BATCHES)
    assert server.stop() == 0


def test_defaults_of_namespaces_are_a_setting(serve):
    server = serve("--namespace-limits", "plugin_cpu=1.5,plugin_count=0")
    assert [row["plugin_cpu"] for row in sql(server, "SHOW NAMESPACES")] == [1.5]
    with pytest.raises(MillstreamError, match="plugin_count of namespace \"public\" is 0"):
        load(server, "every")
    sql(server, "ALTER NAMESPACE public SET (plugin_count = 'unlimited')")
    load(server, "every")
    assert server.stop() == 0
