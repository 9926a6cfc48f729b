"""RocketMQ's clients of other languages, unchanged: Go over remoting, Node over gRPC and over HTTP, and two over remoting that are no longer made,
in Node (ali-ons) and in C++ (in the Python package rocketmq). What each of them can't do stands in docs/rocketmq.md.
"""

import os
import subprocess
from pathlib import Path

import pytest
from clients import sql
from conftest import ROOT, eventually

CACHE = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream")) / "rocketmq"
PROGRAMS = ROOT / "tests/e2e/rocketmq"
GO = {
    "concurrent": ["sent", "consumed by tags, one again"],
    "orderly": ["consumed in order"],
    "delayed": ["none early"],
    "transactions": ["asked", "committed, and nothing else"],
    "selectors": ["pushed by conditions"],
    "dead": ["given up after three tries"],
    "broadcast": ["all for each"],
    "pull": ["polled by tag", "pulled from each queue"],
    "requests": ["answered"],
    "topics": ["made, listed and deleted"],
}
RETRIED = {"concurrent": "go-group", "dead": "go-dead-group"}
NODE = {
    "simple": [
        "received by tags and acknowledged", "received by a condition", "none early, one recalled", "visible again sooner",
    ],
    "push": ["pushed by tags, one again"],
    "ordered": ["consumed in order"],
    "transactions": ["asked", "committed, and nothing else"],
    "dead": ["given up after three tries"],
}
ONS = {
    "normal": ["consumed by tags, one again"],
    "selectors": ["consumed by a condition"],
    "delayed": ["none early"],
    "ordered": ["consumed in order"],
    "broadcast": ["all for each"],
    "dead": ["given up after two tries"],
}
ONS_RETRIED = {"normal": "ons-group", "dead": "ons-dead-group"}
NODE_HTTP = {"messages": ["published, consumed and acknowledged"], "ordered": ["consumed in order"]}
CPP = {"sends": ["sent", "pulled by tags"], "delayed": ["none early"], "push": ["pushed by tags"]}


def run(server, command: list, expected: list[str], timeout: int = 150) -> None:
    # The clients log to the home directory.
    env = {**os.environ, "HOME": str(server.data.parent), "NODE_PATH": str(CACHE / "node/node_modules")}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout, env=env)
    log = Path(f"{server.data}.log").read_text()
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{log[-2000:]}"
    assert [line for line in done.stdout.splitlines() if line in expected] == expected


def retries_at_once(server, group: str) -> None:
    """These clients see the queue that their first heartbeat makes half a minute later."""
    server.cli("sql", "-c", f'CREATE TABLE "%RETRY%{group}" OF MESSAGES WITH (partitions = 1)')


def check_dead_letter(server, group: str, tag: str, attempts: int) -> None:
    columns = "tag, attempts, property(properties, 'own') AS own, CAST(body AS VARCHAR) AS body"
    made = f"SELECT 1 FROM system.tables WHERE name = '%DLQ%{group}' AND rows > 0"
    eventually(lambda: sql(server, made), 30, "the dead letter")
    letters = sql(server, f'SELECT {columns} FROM "%DLQ%{group}"')
    assert letters == [{"tag": tag, "attempts": attempts, "own": "1", "body": "given up"}]


@pytest.mark.parametrize("part", GO)
def test_what_go_programs_do(serve, part):
    server = serve()
    if part in RETRIED:
        retries_at_once(server, RETRIED[part])
    run(server, [CACHE / "go/check", server.remoting, part], GO[part])
    if part == "concurrent":
        columns = "message_id, tag, keys, property(properties, 'number') AS number, CAST(body AS VARCHAR) AS body"
        [row] = sql(server, f'SELECT {columns} FROM "go-normal" WHERE tag = \'c\' AND property(properties, \'number\') = \'7\'')
        assert (row["keys"], row["body"]) == (["key-c7", "all"], "c7")
    if part == "transactions":
        assert sql(server, "SELECT * FROM system.transactions") == []
    if part == "dead":
        check_dead_letter(server, "go-dead-group", "t", 3)


@pytest.mark.parametrize("part", NODE)
def test_what_node_programs_do(serve, part):
    server = serve("--message-max-attempts", "3") if part == "dead" else serve()
    if part == "ordered":
        server.cli("sql", "-c", "CREATE TABLE \"node-ordered\" OF MESSAGES WITH (kind = 'ordered', partitions = 2)")
    run(server, ["node", PROGRAMS / "node/grpc_check.js", server.grpc, part], NODE[part])
    if part == "ordered":
        # Nothing was given up.
        assert sql(server, "SELECT name FROM system.tables WHERE name LIKE '%DLQ%'") == []
    if part == "transactions":
        assert sql(server, "SELECT * FROM system.transactions") == []
    if part == "dead":
        check_dead_letter(server, "node-dead-group", "a", 2)


@pytest.mark.parametrize("part", NODE_HTTP)
def test_what_node_programs_do_over_http(serve, part):
    server = serve()
    run(server, ["node", PROGRAMS / "node/http_check.js", server.http, part], NODE_HTTP[part])


@pytest.mark.parametrize("part", ONS)
def test_what_ali_ons_does(serve, part):
    server = serve()
    # It sends to no topic that is not there.
    server.cli("sql", "-c", f'CREATE TABLE "ons-{part}" OF MESSAGES WITH (partitions = 4)')
    if part in ONS_RETRIED:
        retries_at_once(server, ONS_RETRIED[part])
    run(server, ["node", PROGRAMS / "node/remoting_check.js", server.remoting, part], ONS[part])
    if part == "dead":
        check_dead_letter(server, "ons-dead-group", "t", 2)


@pytest.mark.parametrize("part", CPP)
def test_what_the_client_in_cpp_does(serve, part):
    server = serve()
    run(server, [CACHE / "cpp/bin/python", PROGRAMS / "cpp_check.py", server.remoting, part], CPP[part])
    if part == "sends":
        rows = sql(server, "SELECT count(*) AS n FROM \"cpp-sends\" WHERE CAST(body AS VARCHAR) LIKE 'batch %'")
        assert rows == [{"n": 10}]
