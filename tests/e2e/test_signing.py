"""Servers that take only what an operator's key has signed."""

import os
import subprocess
from pathlib import Path

import pytest
from clients import make_table, sql
from conftest import BIN, ROOT
from millstream import MillstreamError, connect

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))


def run(*arguments: object, code: int = 0) -> str:
    done = subprocess.run([BIN, "plugin", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def make_key(path: Path) -> str:
    """The public key."""
    return run("key", path).split()[-1]


def test_only_signed_modules_are_loaded(serve, tmp_path):
    ours, theirs = make_key(tmp_path / "ours.key"), make_key(tmp_path / "theirs.key")
    assert (tmp_path / "ours.key").stat().st_mode & 0o777 == 0o600
    assert "exists" in run("key", tmp_path / "ours.key", code=1), "a key is never replaced"
    plain = GUESTS / "late_departures.wasm"
    signed, foreign = tmp_path / "signed.wasm", tmp_path / "foreign.wasm"
    assert ours in run("sign", plain, "--key", tmp_path / "ours.key", "--output", signed)
    assert theirs in run("sign", plain, "--key", tmp_path / "theirs.key", "--output", foreign)
    (tmp_path / "no.key").write_text("not a key")
    assert "64 hexadecimal digits" in run("sign", plain, "--key", tmp_path / "no.key", "--output", signed, code=1)

    server = serve("--plugin-trusted-keys", ours)
    make_table(server, "flights", columns="dep_delay REAL")
    sql(server, "INSERT INTO flights VALUES (10), (61)")
    changed = bytearray(signed.read_bytes())
    changed[len(changed) // 2] ^= 1
    with connect(server.url) as connection:
        for module, why in [
            (plain.read_bytes(), "is not signed"),
            (foreign.read_bytes(), f"signed with key {theirs}, which is not listed"),
            (bytes(changed), "was changed after"),
        ]:
            with pytest.raises(MillstreamError, match=why):
                connection.create_plugin("CREATE PLUGIN late FROM UPLOAD", module)
        connection.create_plugin("CREATE PLUGIN late FROM UPLOAD", signed.read_bytes())
    assert sql(server, "SELECT count(*) AS n FROM flights WHERE late(dep_delay)") == [{"n": 1}]
    assert server.stop() == 0

    # A key that is no longer listed takes its modules with it.
    server = serve("--plugin-trusted-keys", theirs)
    with pytest.raises(MillstreamError, match="which is not listed"):
        sql(server, "SELECT count(*) AS n FROM flights WHERE late(dep_delay)")
    assert server.stop() == 0


def test_signatures_hold_for_a_name_and_for_releases_that_are_still_taken(serve, tmp_path):
    ours = make_key(tmp_path / "ours.key")
    plain, late, early = GUESTS / "late_departures.wasm", tmp_path / "late.wasm", tmp_path / "early.wasm"
    sign = ("sign", plain, "--key", tmp_path / "ours.key", "--output")
    assert "release     7" in run(*sign, late, "--name", "late", "--release", 7, "--grant", "none")
    run(*sign, early, "--name", "early", "--release", 6)
    assert "nothing that is granted" in run(*sign, tmp_path / "no.wasm", "--grant", "everything", code=1)

    server = serve("--plugin-trusted-keys", ours, "--plugin-least-releases", "late=7")
    with connect(server.url) as connection:
        with pytest.raises(MillstreamError, match='is signed as "early", and not as "late"'):
            connection.create_plugin("CREATE PLUGIN late FROM UPLOAD", early.read_bytes())
        with pytest.raises(MillstreamError, match="granted nothing, and not clock"):
            connection.create_plugin("CREATE PLUGIN late FROM UPLOAD WITH (grant = 'clock')", late.read_bytes())
        connection.create_plugin("CREATE PLUGIN late FROM UPLOAD", late.read_bytes())
        connection.create_plugin("CREATE PLUGIN early FROM UPLOAD", early.read_bytes())
    assert server.stop() == 0

    server = serve("--plugin-trusted-keys", ours, "--plugin-least-releases", "*=7")
    assert sql(server, "SELECT late(CAST(61 AS REAL)) AS late") == [{"late": True}]
    with pytest.raises(MillstreamError, match="is release 6"):
        sql(server, "SELECT early(CAST(61 AS REAL))")
    assert server.stop() == 0
