"""Plugins whose modules travel beside the statement, of any size up to the limit."""

import os
from pathlib import Path

import pytest
from clients import make_table, sql
from conftest import ROOT
from millstream import InvalidInput, MillstreamError, connect

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
LIMIT = 64 << 20


def padded(size: int) -> bytes:
    """A filter that lets rows with a late departure pass, with a custom section that makes it so large."""
    module = (GUESTS / "late_departures.wasm").read_bytes()
    # Section 0, its length in five bytes of LEB128, the length of its name, its name.
    fill = size - len(module) - 6
    length = bytes([(fill >> shift & 0x7F) | (0x80 if shift < 28 else 0) for shift in (0, 7, 14, 21, 28)])
    return module + b"\x00" + length + b"\x03pad" + bytes(fill - 4)


def test_large_modules_are_loaded(serve, tmp_path):
    server = serve("--file-roots", str(tmp_path))
    make_table(server, "flights", columns="dep_delay REAL")
    sql(server, "INSERT INTO flights VALUES (10), (61), (NULL), (90)")
    file = tmp_path / "large.wasm"
    file.write_bytes(padded(20 << 20))
    assert "version 1 created" in server.cli("plugin", "load", "late", str(file), "--call-timeout-ms", "2000")
    assert server.cli("plugin", "load", "late", str(file), "--replace", "--format", "json") == (
        '{"rows":0,"message":"plugin \\"late\\" version 2 created"}\n'
    )
    with connect(server.url) as connection:
        said = connection.create_plugin("CREATE PLUGIN largest FROM UPLOAD", padded(LIMIT))
        assert said == 'plugin "largest" version 1 created'
        rows = connection.execute("SELECT dep_delay FROM flights WHERE late(dep_delay) AND largest(dep_delay) ORDER BY 1")
        assert rows.to_pylist() == [{"dep_delay": 61.0}, {"dep_delay": 90.0}]
        assert connection.execute("SELECT max(module_bytes) AS m FROM system.plugins").to_pylist() == [{"m": LIMIT}]

        # The limit is the same whichever way a module comes.
        file.write_bytes(padded(LIMIT + 1))
        with pytest.raises(MillstreamError, match=str(LIMIT)):
            connection.create_plugin("CREATE PLUGIN larger FROM UPLOAD", file.read_bytes())
        with pytest.raises(MillstreamError, match=str(LIMIT)):
            connection.execute(f"CREATE PLUGIN larger FROM '{file}'")
        assert str(LIMIT) in server.cli("plugin", "load", "larger", str(file), check=False).stderr


def test_what_a_plugin_asks_for_is_granted_by_name(serve):
    server = serve()
    load = ("plugin", "load", "hourly", str(GUESTS / "hourly_delays.wasm"))
    assert 'asks for "state", which is not granted' in server.cli(*load, check=False).stderr
    assert "speed" in server.cli(*load, "--grant", "speed", check=False).stderr
    limits = ("--output-bytes", "1048576", "--memory-bytes", "33554432", "--concurrency", "2", "--config", "90")
    assert "version 1 created" in server.cli(*load, "--grant", "state,clock", *limits)
    with connect(server.url) as connection:
        columns = "grants, output_bytes, memory_bytes, concurrency, config"
        found = connection.execute(f"SELECT {columns} FROM system.plugins").to_pylist()
        wanted = ("clock, state", 1 << 20, 32 << 20, 2, "90")
        assert [tuple(row.values()) for row in found] == [wanted]


def test_what_is_not_a_module_is_refused(serve):
    server = serve()
    with connect(server.url) as connection:
        for statement, module, word in [
            ("CREATE PLUGIN p FROM UPLOAD", b"", "not Wasm"),
            ("CREATE PLUGIN p FROM UPLOAD", b"\x00asm" + bytes(100), "component"),
            ("CREATE PLUGIN p FROM UPLOAD WITH (tme = 1)", padded(1 << 20), "tme"),
            ("CREATE PLUGIN p FROM 'x.wasm'", padded(1 << 20), "FROM UPLOAD"),
            ("SELECT 1", b"", "FROM UPLOAD"),
            ("CREATE PLUGIN p FORM UPLOAD", b"", "FROM"),
        ]:
            with pytest.raises(InvalidInput, match=word):
                connection.create_plugin(statement, module)
        with pytest.raises(InvalidInput, match="create_plugin"):
            connection.execute("CREATE PLUGIN p FROM UPLOAD")
        assert connection.execute("SELECT 1 AS one").to_pylist() == [{"one": 1}]
