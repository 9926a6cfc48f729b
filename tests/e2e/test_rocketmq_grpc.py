"""RocketMQ's own clients over gRPC, unchanged: Java from Maven Central, Python from PyPI."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clients import sql
from conftest import ROOT, eventually
from test_rocketmq_java import Program

JARS = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream")) / "rocketmq" / "grpc-5.0.8"
JAVA = {
    "sends": ["sent", "refused"],
    "transactions": ["half messages sent", "asked"],
    "simple": [
        "received by tags and acknowledged", "visible again sooner", "received by a condition", "none early", "recalled",
    ],
    "push": ["consumed, one again"],
    "ordered": ["consumed in order"],
}
PYTHON = {"simple": ["sent, received and acknowledged"], "push": ["pushed"], "transactions": ["committed"]}


def java(server, *arguments: str) -> list[str]:
    # The client logs to the home directory otherwise.
    options = [f"-Duser.home={server.data.parent}", "-Drocketmq.log.level=WARN"]
    program = str(ROOT / "tests/e2e/rocketmq/GrpcCheck.java")
    return ["java", *options, "-cp", f"{JARS}/*", program, server.grpc, *arguments]


def python(server, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "tests/e2e/rocketmq/grpc_check.py"), server.grpc, *arguments]


def run(server, command: list[str]) -> list[str]:
    env = {**os.environ, "HOME": str(server.data.parent)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=env)
    log = Path(f"{server.data}.log").read_text()
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{log[-2000:]}"
    return done.stdout.splitlines()


@pytest.mark.parametrize("part", JAVA)
def test_what_java_programs_do(serve, part):
    server = serve()
    if part == "sends":
        server.cli("sql", "-c", "CREATE TABLE \"grpc-normal\" OF MESSAGES WITH (kind = 'normal')")
    if part == "ordered":
        server.cli("sql", "-c", "CREATE TABLE \"grpc-ordered\" OF MESSAGES WITH (kind = 'ordered', partitions = 2)")
    said = run(server, java(server, part))
    assert [line for line in said if line in JAVA[part]] == JAVA[part]
    if part == "sends":
        columns = "message_id, tag, keys, property(properties, 'amount') AS amount, message_group, CAST(body AS VARCHAR) AS body"
        [row] = sql(server, f'SELECT {columns} FROM "grpc-sends" WHERE tag = \'a\'')
        assert (row["keys"], row["amount"], row["body"]) == (["k1", "k2"], "120", "one")
        partitions = sql(server, 'SELECT count(DISTINCT _partition) AS n FROM "grpc-sends" WHERE message_group = \'g\'')
        assert partitions == [{"n": 1}]
        eventually(lambda: len(sql(server, "SELECT 1 FROM \"grpc-sends\" WHERE CAST(body AS VARCHAR) = 'late'")) == 1, 30, "late")
    if part == "transactions":
        rows = sql(server, 'SELECT CAST(body AS VARCHAR) AS body FROM "grpc-halves"')
        assert sorted(row["body"] for row in rows) == ["committed", "later committed"]
        assert sql(server, "SELECT * FROM system.transactions") == []


@pytest.mark.parametrize("part", PYTHON)
def test_what_python_programs_do(serve, part):
    server = serve()
    said = run(server, python(server, part))
    assert [line for line in said if line in PYTHON[part]] == PYTHON[part]
    if part == "transactions":
        rows = sql(server, 'SELECT CAST(body AS VARCHAR) AS body FROM "python-halves"')
        assert sorted(row["body"] for row in rows) == ["asked", "committed"]


def test_another_producer_decides_what_a_killed_one_has_left(serve):
    server = serve()
    left = subprocess.Popen(java(server, "orphaned", "leave"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert left.stdout.readline() == "left\n"
    finally:
        left.kill()
        left.wait()
    server.kill()
    server.start()
    assert "recovered" in run(server, java(server, "orphaned", "recover"))
    assert sql(server, 'SELECT CAST(body AS VARCHAR) AS body FROM "grpc-orphans"') == [{"body": "left"}]


def test_what_is_given_back_too_often_becomes_a_dead_letter(serve):
    server = serve("--message-max-attempts", "3")
    said = run(server, java(server, "dead"))
    assert "handed out 3 times" in said
    letters = sql(server, 'SELECT tag, property(properties, \'own\') AS own, CAST(body AS VARCHAR) AS body FROM "%DLQ%grpc-dead-group"')
    assert letters == [{"tag": "a", "own": "1", "body": "given up"}]


def test_what_a_killed_push_consumer_has_kept_is_handed_out_again(serve):
    server = serve()
    server.cli("sql", "-c", "CREATE TABLE held OF MESSAGES WITH (partitions = 1)")
    server.cli("sql", "-c", "INSERT INTO held (body) VALUES ('one')")
    holder = subprocess.Popen(java(server, "holds", "held", "holders"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "holding\n"
        [kept] = sql(server, "SELECT visible_ts > now() + INTERVAL '10 minutes' AS is_kept FROM system.deliveries WHERE table_name = 'held'")
        assert kept == {"is_kept": True}
    finally:
        holder.kill()
        holder.wait()
    assert run(server, java(server, "receives", "held", "holders", "1")) == ["one"]


def test_messages_are_the_same_over_both_doors(serve):
    server = serve()
    server.cli("sql", "-c", "CREATE TABLE both OF MESSAGES WITH (partitions = 2)")
    programs = []
    try:
        reader = Program("5.3.3", server, "reads", "both", "over-remoting")
        programs.append(reader)
        sender = Program("5.3.3", server, "inserts", "both")
        programs.append(sender)
        sender.wait_for(20, 60)
        sender.end()
        answered = {number for number, _ in sender.lines} | {str(number) for number in range(1_000_000, 1_000_010)}
        assert "sent" in run(server, java(server, "numbers", "both"))

        def stored() -> set[str]:
            return {row["number"] for row in sql(server, 'SELECT CAST(body AS VARCHAR) AS number FROM "both"')}

        # Some are to come in five seconds. A send that the client has given up is there all the same, if its answer was late.
        eventually(lambda: answered <= stored(), 60, "what was answered is stored")
        numbers = stored()
        received = run(server, java(server, "receives", "both", "over-grpc", str(len(numbers))))
        assert set(received) == numbers
        eventually(lambda: {number for number, _ in reader.lines} == numbers, 60, "what is read over remoting")
        reader.end()
    finally:
        for program in programs:
            if program.process.poll() is None:
                program.process.kill()
