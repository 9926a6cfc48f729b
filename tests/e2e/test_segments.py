"""Segments are ordinary Parquet: other engines read them from a directory and from S3, with the same answers."""

import os
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import duckdb
import polars as pl
import pytest
from conftest import FLIGHTS, eventually
from millstream import connect

EXPECTED = "SELECT count(*), sum(distance), sum(dep_delay) FROM '{}' WHERE dep_delay > 60"
CUT_AT_ONCE = ("--segment-age-ms", "100")


def all_in_segments(server, rows: int) -> bool:
    with connect(server.url) as connection:
        found = connection.execute("SELECT sum(next_offset - first_offset) AS n FROM system.segments").to_pylist()
    return found[0]["n"] == rows


def source_answer():
    return duckdb.sql(EXPECTED.format(FLIGHTS)).fetchall()[0]


def test_duckdb_and_polars_read_local_segments(serve):
    server = serve(*CUT_AT_ONCE)
    server.cli("import", "flights", str(FLIGHTS), "--create")
    total = duckdb.sql(f"SELECT count(*) FROM '{FLIGHTS}'").fetchall()[0][0]
    eventually(lambda: all_in_segments(server, total), what="every row in a segment")
    files = server.data / "segments/public"
    pattern = f"{files}/*/*/*.parquet"
    assert duckdb.sql(EXPECTED.format(pattern)).fetchall()[0] == source_answer()
    frame = pl.scan_parquet(pattern).filter(pl.col("dep_delay") > 60)
    assert frame.select(pl.len(), pl.sum("distance"), pl.sum("dep_delay")).collect().row(0) == source_answer()
    offsets = duckdb.sql(f"SELECT min(_offset), max(_offset), count(DISTINCT _offset) FROM '{pattern}'").fetchall()[0]
    assert offsets == (0, total - 1, total)


@pytest.fixture
def s3(tmp_path):
    """A real S3-compatible server on loopback."""
    root = tmp_path / "s3"
    (root / "bucket").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        ["s3s-fs", "--host", "127.0.0.1", "--port", str(port), "--access-key", "key", "--secret-key", "secret", str(root)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )

    def listening():
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", port)) == 0

    eventually(listening, 20, "the S3 server")
    yield f"http://127.0.0.1:{port}", root / "bucket"
    process.kill()
    process.wait()


def test_segments_on_s3(serve, s3):
    endpoint, bucket = s3
    env = {
        "AWS_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
    }
    server = serve(*CUT_AT_ONCE, "--segment-url", "s3://bucket/mill", env=env)
    server.cli("import", "flights", str(FLIGHTS), "--create")
    total = duckdb.sql(f"SELECT count(*) FROM '{FLIGHTS}'").fetchall()[0][0]
    eventually(lambda: all_in_segments(server, total), what="every row in a segment")
    objects = list(Path(bucket).rglob("*.parquet"))
    assert objects, "no object in the bucket"
    assert duckdb.sql(EXPECTED.format(f"{bucket}/mill/public/*/*/*.parquet")).fetchall()[0] == source_answer()
    assert server.stop() == 0
    again = serve("--segment-url", "s3://bucket/mill", env=env)
    with connect(again.url) as connection:
        found = connection.execute(
            "SELECT count(*) AS n, sum(distance) AS d, sum(dep_delay) AS s FROM flights WHERE dep_delay > 60"
        ).to_pylist()
    assert tuple(found[0].values()) == source_answer()
    assert not os.path.exists(again.data / "segments") or not list((again.data / "segments").rglob("*.parquet"))


def test_copies_of_a_directory_over_one_bucket(serve, s3):
    """Both go on and compact; what either acknowledged stays, and the one that was opened first says that it is fenced."""
    endpoint, _ = s3
    env = {
        "AWS_ENDPOINT": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
    }
    options = (*CUT_AT_ONCE, "--segment-url", "s3://bucket/mill")
    at_once = (*options, "--segment-grace-ms", "0")

    def rows(server) -> int:
        with connect(server.url) as connection:
            return connection.execute("SELECT count(*) AS n FROM flights").to_pylist()[0]["n"]

    def told(server, kind: str) -> bool:
        with connect(server.url) as connection:
            sql = f"SELECT count(*) AS n FROM system.log WHERE kind = '{kind}'"
            return connection.execute(sql).to_pylist()[0]["n"] > 0

    original = serve(*options, env=env)
    original.cli("import", "flights", str(FLIGHTS), "--create")
    total = duckdb.sql(f"SELECT count(*) FROM '{FLIGHTS}'").fetchall()[0][0]
    eventually(lambda: all_in_segments(original, total), what="every row in a segment")
    shutil.copytree(original.data, original.data.parent / "copy")
    copy = serve(*at_once, name="copy", env=env)
    assert told(copy, "segment_store_contested")
    for _ in range(4):
        copy.cli("import", "flights", str(FLIGHTS))
        original.cli("import", "flights", str(FLIGHTS))
    eventually(lambda: told(original, "segment_store_fenced"), what="a fenced owner")
    with urllib.request.urlopen(f"http://{original.http}/readyz") as answer:
        assert b"segment store belongs to another" in answer.read()
    eventually(lambda: all_in_segments(copy, 5 * total), what="every row of the copy in a segment")
    assert rows(copy) == rows(original) == 5 * total
    assert copy.stop() == 0 and original.stop() == 0
    again = serve(*at_once, env=env)
    eventually(lambda: all_in_segments(again, 5 * total), what="every row of the original in a segment")
    assert rows(again) == 5 * total
    assert again.stop() == 0
    assert rows(serve(*at_once, name="copy", env=env)) == 5 * total
