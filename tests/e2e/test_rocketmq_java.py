"""RocketMQ's own Java clients, unchanged, from Maven Central: a 4.x and a 5.x release."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from clients import sql
from conftest import ROOT, eventually

CACHE = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream")) / "rocketmq"
VERSIONS = ["4.9.8", "5.3.3"]
PARTS = {
    "concurrent": ["sent and viewed", "consumed by tags, one again"],
    "orderly": ["consumed in order"],
    "delayed": ["none early"],
    "transactions": ["committed, and nothing else"],
    "broadcast": ["all for each"],
    "rebalance": ["shared out"],
    "lite": ["polled by tag", "assigned, from the beginning"],
    "dead": ["dead letters"],
    "refused": ["refused"],
    "lookups": ["by id", "by each key", "nothing else"],
    "requests": ["answered", "handed on"],
    "selectors": [
        "pushed by a condition", "pushed by a plugin", "pulled by a condition", "polled by a condition", "bad expressions are refused",
    ],
}
# By the release's own tools too.
ADMIN = "5.3.3"
ADMIN_PARTS = {
    "recall": ["recalled", "and nothing else", "the others are delivered"],
    "mqadmin": ["topics", "messages", "groups", "offsets", "deleted"],
    "consumers": ["asked themselves", "followed", "nobody else"],
    "definitions": ["topics", "groups", "settings"],
}
GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
# A topic that a first send has made has four queues.
MADE_BEFORE = {
    "refused": "CREATE TABLE flights (a BIGINT)",
    "rebalance": 'CREATE TABLE "java-shared" OF MESSAGES WITH (partitions = 8)',
    "selectors": 'CREATE TABLE "java-flights" OF MESSAGES WITH (partitions = 2)',
}


POP_PARTS = {
    "pop": ["popped", "popped again", "each to one"],
    "pop-filters": ["popped by tags and by a condition"],
    "pop-dead": ["popped twice, and dead"],
    "pop-receipts": ["acknowledged", "changed", "handed out again"],
}
# Only 5.x clients pop.
POP_VERSION = "5.3.3"
POP_MADE = {"pop": "java-pop", "pop-filters": "java-pop-filters", "pop-dead": "java-pop-dead", "pop-receipts": "java-pop-receipts"}


def command(version: str, server, *arguments: str, headers: str = "JSON", source: str = "RocketmqCheck") -> list[str]:
    # The clients log to the home directory otherwise.
    logs = ["-Drocketmq.client.logUseSlf4j=true", f"-Duser.home={server.data.parent}"]
    opened = ["--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
    program = str(ROOT / f"tests/e2e/rocketmq/{source}.java")
    logs.append(f"-Drocketmq.serialize.type={headers}")
    return ["java", *logs, *opened, "-cp", f"{CACHE / version}/*", program, server.remoting, *arguments]


def run(version: str, server, part: str, headers: str, source: str = "RocketmqCheck") -> None:
    program = command(version, server, part, headers=headers, source=source)
    done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    log = Path(f"{server.data}.log").read_text()
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{log[-2000:]}"
    expected = {**PARTS, **ADMIN_PARTS, **POP_PARTS}[part]
    assert [line for line in done.stdout.splitlines() if line in expected] == expected


def first_line(program: list[str], words: str, within_s: int = 110, **options) -> str | None:
    """The first line with these words. The program is ended then: threads of the clients outlive the exception that ends its main one."""
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options) as running:
        late = threading.Timer(within_s, running.kill)
        late.start()
        try:
            return next((line for line in running.stdout if words in line), None)
        finally:
            late.cancel()
            running.kill()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_java_programs_do(serve, version, part):
    server = serve()
    if part in MADE_BEFORE:
        server.cli("sql", "-c", MADE_BEFORE[part])
    if part == "selectors":
        server.cli("plugin", "load", "united_late", str(GUESTS / "carrier_filter.wasm"), "--config", "UA")
    run(version, server, part, "JSON")


@pytest.mark.parametrize("version", VERSIONS)
def test_messages_are_tried_again_as_their_group_is_set(serve, version):
    server = serve()
    server.cli("sql", "-c", "CREATE CONSUMER GROUP \"java-steps-group\" WITH (max_attempts = 3, retry_steps = '1s, 3s')")
    server.cli("sql", "-c", 'CREATE TABLE "%RETRY%java-steps-group" OF MESSAGES WITH (partitions = 1)')
    done = subprocess.run(command(version, server, "steps"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "tried by the group's steps" in done.stdout, f"{done.stdout}\n{done.stderr[-4000:]}"
    there = "SELECT 1 FROM system.tables WHERE name = '%DLQ%java-steps-group' AND rows > 0"
    eventually(lambda: sql(server, there), 30, "it is given up after three tries")
    assert sql(server, 'SELECT CAST(body AS VARCHAR) AS body, attempts FROM "%DLQ%java-steps-group"') == [{"body": "fails", "attempts": 3}]


@pytest.mark.parametrize("version", VERSIONS)
def test_what_becomes_of_a_message_is_noted_here_and_by_the_client(serve, version):
    server = serve("--message-trace", "true")
    done = subprocess.run(command(version, server, "traced"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    [message] = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("id ")]

    def steps() -> list[dict]:
        listed = server.cli("message", "trace", "java-traced", message, "--format", "json")
        return [json.loads(line) for line in listed.splitlines()]

    eventually(lambda: len(steps()) >= 3, 30, "the delivery is noted")
    assert [step["step"] for step in steps()] == ["produced", "stored", "delivered"]
    delivered = steps()[-1]
    assert delivered["group_id"] == "java-traced-group" and delivered["client_address"].startswith("127.0.0.1")
    # The client's own: of the send, and of what was consumed before and after.
    own = "SELECT CAST(body AS VARCHAR) AS body FROM \"RMQ_SYS_TRACE_TOPIC\" WHERE array_has(keys, '%s')" % message
    eventually(lambda: len(sql(server, own)) >= 2, 30, "the client's own trace")
    kinds = {part.split("\x01")[0] for row in sql(server, own) for part in row["body"].split("\x02") if part}
    assert kinds == {"Pub", "SubBefore", "SubAfter"}, kinds


@pytest.mark.parametrize("part", ADMIN_PARTS)
def test_what_administrators_do(serve, part):
    run(ADMIN, serve(), part, "JSON", source="RocketmqAdmin")


def test_topics_and_groups_move_with_what_mqadmin_exports(serve, tmp_path):
    old, new = serve(name="old"), serve(name="new")
    old.cli("sql", "-c", "CREATE TABLE orders OF MESSAGES WITH (kind = 'ordered', partitions = 3)")
    old.cli("sql", "-c", "CREATE SCHEMA shop")
    old.cli("sql", "-c", "CREATE TABLE shop.paid OF MESSAGES WITH (partitions = 2)")
    old.cli("sql", "-c", 'CREATE TABLE "%RETRY%workers" OF MESSAGES WITH (partitions = 1)')
    export = ["exportMetadata", "-n", old.remoting, "-c", "millstream", "-f", str(tmp_path / "exported")]
    options = ["-Drocketmq.client.logUseSlf4j=true", f"-Duser.home={tmp_path}", "--add-opens=java.base/java.nio=ALL-UNNAMED"]
    tool = "org.apache.rocketmq.tools.command.MQAdminStartup"
    done = subprocess.run(
        ["java", *options, "-cp", f"{CACHE / ADMIN}/*", tool, *export], capture_output=True, text=True, timeout=120,
    )
    metadata = tmp_path / "exported" / "metadata.json"
    assert done.returncode == 0 and metadata.exists(), f"{done.stdout}\n{done.stderr}"
    new.cli("migrate", "rocketmq", str(metadata))
    tables = "SELECT namespace, name, partitions, messages FROM system.tables ORDER BY namespace, name"
    assert len(sql(old, tables)) == 3 and sql(new, tables) == sql(old, tables)


@pytest.mark.parametrize("part", ["concurrent", "transactions"])
@pytest.mark.parametrize("version", VERSIONS)
def test_binary_headers(serve, version, part):
    run(version, serve(), part, "ROCKETMQ")


class Program:
    """A Java program that runs until its input ends, and its lines."""

    def __init__(self, version: str, server, *arguments: str, source: str = "RocketmqCheck"):
        self.lines: list[list[str]] = []
        self.process = subprocess.Popen(
            command(version, server, *arguments, source=source), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            parts = line.split()
            if len(parts) == 2 and all(part.isdigit() for part in parts):
                self.lines.append(parts)

    def wait_for(self, count: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while len(self.lines) < count:
            assert time.monotonic() < end, f"{len(self.lines)} lines instead of {count} after {seconds} s"
            time.sleep(0.1)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.stdin.write("end\n")
            self.process.stdin.close()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self._reader.join(timeout=10)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", ["producer_first", "plugin_only"])
def test_a_plugin_decides_for_a_producer_that_was_killed(serve, version, order):
    server = serve()
    server.cli("sql", "-c", "CREATE TABLE flights (carrier VARCHAR, flight INT, dep_delay REAL)")
    server.cli("sql", "-c", "INSERT INTO flights VALUES ('UA', 1545, 2.0), ('AA', 1141, NULL)")
    server.cli("plugin", "load", "seats", str(GUESTS / "seat_orders.wasm"), "--table", "flights=flights")
    server.cli("sql", "-c", "CREATE TABLE seats OF MESSAGES WITH (kind = 'transactional')")
    settings = f"order = '{order}', after = '10s', every = '2s', limit = 2"
    server.cli("sql", "-c", f"CREATE CHECKBACK seats ON seats USING PLUGIN seats WITH ({settings})")
    # One flight has left, one was cancelled, of one nothing is known.
    producer = Program(version, server, "halves", "seats", "UA 1545", "AA 1141", "UA 1")
    try:
        producer.wait_for(3, 60)
    finally:
        producer.process.kill()
    assert [row["checks"] for row in sql(server, "SELECT checks FROM system.transactions")] == [0, 0, 0]
    server.kill()
    server.start()

    def open_halves() -> list[dict]:
        return sql(server, "SELECT transaction_id AS id, checks, next_check_ts AS next FROM system.transactions")

    eventually(lambda: len(open_halves()) == 1, 60, "the plugin's word")
    keys = "SELECT CAST(body AS VARCHAR) AS body FROM seats"
    assert sql(server, keys) == [{"body": "UA 1545"}]
    eventually(lambda: open_halves()[0]["next"] is None, 60, "the end of the questions")
    [left] = open_halves()
    assert left["checks"] == 2
    [status] = sql(server, "SELECT * FROM system.checkbacks")
    found = {name: status[name] for name in ("committed", "rolled_back", "unknown", "failed", "parked", "error")}
    assert found == {"committed": 1, "rolled_back": 1, "unknown": 2, "failed": 0, "parked": 1, "error": None}
    [use] = sql(server, "SELECT used_by, rows_in FROM system.plugin_uses WHERE used_for = 'checkback'")
    assert use == {"used_by": "seats", "rows_in": 4}
    server.cli("sql", "-c", f"COMMIT TRANSACTION '{left['id']}' ON seats")
    assert sorted(row["body"] for row in sql(server, keys)) == ["UA 1", "UA 1545"]


@pytest.mark.parametrize("part", POP_PARTS)
def test_what_java_programs_do_by_pop(serve, part):
    server = serve("--message-max-attempts=2") if part == "pop-dead" else serve()
    server.cli("sql", "-c", f'CREATE TABLE "{POP_MADE[part]}" OF MESSAGES WITH (partitions = 4)')
    run(POP_VERSION, server, part, "JSON", source="PopCheck")
    if part == "pop":
        [offsets] = sql(server, "SELECT sum(lag) AS lag FROM system.offsets WHERE group_id = 'java-poppers' AND topic = 'java-pop'")
        assert offsets == {"lag": 0}
        assert sql(server, "SELECT * FROM system.deliveries WHERE group_id = 'java-poppers'") == []


def test_what_was_handed_out_survives_a_kill(serve):
    server = serve()
    server.cli("sql", "-c", 'CREATE TABLE "java-pop-killed" OF MESSAGES WITH (partitions = 4)')
    fill = Program(POP_VERSION, server, "fill", "java-pop-killed", "200", source="PopCheck")
    fill.process.wait(timeout=120)
    programs = []
    try:
        # Two of three are handed out and not acknowledged.
        first = Program(POP_VERSION, server, "take", "java-pop-killed", "java-pop-survivors", "3", "60", source="PopCheck")
        programs.append(first)
        first.wait_for(200, 90)
        server.kill()
        first.process.kill()
        # What the server had said by then may still be on its way.
        first.process.wait(timeout=30)
        first._reader.join(timeout=10)
        acknowledged = {int(number) for number, what in first.lines if what == "1000"}
        # Asked for, and without an answer.
        unsure = {int(number) for number, what in first.lines if what == "2000"} - acknowledged
        unsure -= {int(number) for number, what in first.lines if what == "3000"}
        handed = {int(number) for number, what in first.lines} - acknowledged
        server.start(remoting=server.remoting)
        second = Program(POP_VERSION, server, "take", "java-pop-killed", "java-pop-survivors", "1", "40", source="PopCheck")
        programs.append(second)
        second.process.wait(timeout=120)
        second._reader.join(timeout=10)
        came = {int(number) for number, what in second.lines if what == "1000"}
        assert acknowledged, "some were acknowledged"
        assert not came & acknowledged, f"acknowledged and handed out again: {sorted(came & acknowledged)}"
        missing = set(range(200)) - acknowledged - unsure - came
        assert not missing, f"neither acknowledged nor handed out again: {sorted(missing)}"
        assert handed - acknowledged - unsure <= came
        assert sql(server, "SELECT * FROM system.deliveries") == []
    finally:
        for program in programs:
            if program.process.poll() is None:
                program.process.kill()
