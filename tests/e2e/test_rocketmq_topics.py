"""SQL topics and plain tables, consumed with RocketMQ's own Java clients, unchanged."""

import base64
import json
import subprocess
from dataclasses import dataclass

import pytest
from clients import sql
from test_rocketmq_java import VERSIONS, command

# What every message has, here and at Apache's brokers, or what clients add by themselves.
ADDED = {"MSG_REGION", "TRACE_ON", "CLUSTER", "MIN_OFFSET", "MAX_OFFSET", "CONSUME_START_TIME", "WAIT"}
PAID = (
    'CREATE TOPIC "java-paid" AS SELECT message_id, tag, keys, properties, body, '
    "CAST(property(properties, 'amount') AS INT) * 2 AS twice FROM \"java-orders\" WHERE tag = 'paid'"
)


@dataclass
class Came:
    topic: str
    queue: int
    offset: int
    again: int
    id: str
    body: str
    properties: dict[str, str]


def program(version: str, server, *arguments: str) -> list[list[str]]:
    """The fields of what it says."""
    done = subprocess.run(
        command(version, server, *arguments, source="TopicsCheck"), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [line for line in lines if line[0] in ("message", "sent", "refused")]


def consumed(version: str, server, how: str, topic: str, group: str, count: int, condition="*", again="") -> list[Came]:
    lines = program(version, server, how, topic, group, str(count), condition, *([again] if again else []))
    found = []
    for _, name, queue, offset, times, unique, body, properties in lines:
        pairs = base64.b64decode(properties).decode().split("\x02")
        named = dict(pair.split("\x01") for pair in pairs if pair)
        own = {key: value for key, value in named.items() if key not in ADDED}
        found.append(Came(name, int(queue), int(offset), int(times), unique, base64.b64decode(body).decode(), own))
    return found


def send(version: str, server, topic: str, numbers: range) -> list[str]:
    [line] = program(version, server, "send", topic, str(numbers.start), str(numbers.stop))
    return line


def check_paid(server, came: list[Came], numbers: range) -> None:
    """Those of the topic, each as it was sent and at the place of its row, with the topic's own column among its properties."""
    paid = [number for number in numbers if number % 3]
    assert sorted(one.body for one in came) == sorted(f"body {number}" for number in paid)
    rows = sql(server, 'SELECT message_id, _partition AS queue, _offset AS offset FROM "java-orders"')
    places = {row["message_id"]: (row["queue"], row["offset"]) for row in rows}
    for one in came:
        number = int(one.body.split()[1])
        own = {"TAGS": "paid", "KEYS": f"key-{number}", "amount": str(number), "twice": str(2 * number), "UNIQ_KEY": one.id}
        assert one.properties == own, one
        assert (one.topic, (one.queue, one.offset)) == ("java-paid", places[one.id]), one


@pytest.mark.parametrize("version", VERSIONS)
def test_a_topic_over_messages(serve, version):
    server = serve()
    server.cli("sql", "-c", 'CREATE TABLE "java-orders" OF MESSAGES WITH (partitions = 2)')
    assert send(version, server, "java-orders", range(30)) == ["sent"]
    server.cli("sql", "-c", PAID)
    check_paid(server, consumed(version, server, "push", "java-paid", "java-payers", 20), range(30))
    refused = send(version, server, "java-paid", range(1))
    assert refused[:2] == ["refused", "13"] and "SQL topic" in refused[2]

    # Its offsets are the table's, and survive whoever has committed them.
    [lag] = sql(server, "SELECT sum(lag) AS lag FROM system.offsets WHERE group_id = 'java-payers' AND topic = 'java-paid'")
    assert lag["lag"] <= 2, "no more than what does not pass"
    assert server.stop() == 0
    server.start(remoting=server.remoting)
    assert send(version, server, "java-orders", range(30, 60)) == ["sent"]
    check_paid(server, consumed(version, server, "push", "java-paid", "java-payers", 20), range(30, 60))

    # By a condition over what the topic has made; one that is not taken at first comes again as it was.
    came = consumed(version, server, "push", "java-paid", "java-choosers", 3, "twice BETWEEN 80 AND 86", "body 41")
    assert sorted((one.body, one.again) for one in came) == [("body 40", 0), ("body 41", 1), ("body 43", 0)]
    [late] = [one for one in came if one.again]
    [first] = [row for row in sql(server, "SELECT message_id FROM \"java-orders\" WHERE CAST(body AS VARCHAR) = 'body 41'")]
    own = {"TAGS": "paid", "KEYS": "key-41", "amount": "41", "twice": "82", "UNIQ_KEY": first["message_id"]}
    assert {key: late.properties.get(key) for key in own} == own
    assert late.topic == "java-paid"


@pytest.mark.parametrize("how", ["orderly", "broadcast", "lite"])
@pytest.mark.parametrize("version", VERSIONS)
def test_other_ways_to_consume(serve, version, how):
    server = serve()
    server.cli("sql", "-c", 'CREATE TABLE "java-orders" OF MESSAGES WITH (partitions = 2)')
    assert send(version, server, "java-orders", range(60)) == ["sent"]
    server.cli("sql", "-c", PAID)
    again = "body 22" if how == "orderly" else ""
    came = consumed(version, server, how, "java-paid", "java-payers", 40, again=again)
    check_paid(server, came, range(60))
    if how == "orderly":
        for queue in range(2):
            offsets = [one.offset for one in came if one.queue == queue]
            assert offsets == sorted(offsets) and len(offsets) == 20


@pytest.mark.parametrize("how", ["push", "orderly"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_plain_table(serve, version, how):
    server = serve()
    columns = "id BIGINT NOT NULL, carrier VARCHAR, delay REAL, stops VARCHAR[], price DECIMAL(6, 2), at TIMESTAMP"
    server.cli("sql", "-c", f'CREATE TABLE "java-flights" ({columns}) WITH (partitions = 2, partition_key = \'id\')')

    def insert(numbers: range) -> None:
        rows = ", ".join(
            f"({number}, 'C{number}', {number}.5, ['A', 'B{number}'], {number}.25, '2013-01-01T10:00:{number % 60:02}')"
            for number in numbers
        )
        server.cli("sql", "-c", f'INSERT INTO "java-flights" VALUES {rows}')

    def check(came: list[Came], numbers: range) -> None:
        rows = {row["id"]: row for row in sql(server, 'SELECT id, _partition AS queue, _offset AS offset FROM "java-flights"')}
        assert sorted(json.loads(one.body)["id"] for one in came) == list(numbers)
        for one in came:
            number = json.loads(one.body)["id"]
            at = f"2013-01-01T10:00:{number % 60:02}Z"
            body = (
                f'{{"id":{number},"carrier":"C{number}","delay":{number}.5,"stops":["A","B{number}"],"price":"{number}.25","at":"{at}"}}'
            )
            scalars = {"id": str(number), "carrier": f"C{number}", "delay": f"{number}.5", "price": f"{number}.25", "at": at}
            assert (one.body, one.properties, one.topic) == (body, scalars, "java-flights")
            assert (one.queue, one.offset) == (rows[number]["queue"], rows[number]["offset"])

    insert(range(40))
    came = consumed(version, server, how, "java-flights", "java-pilots", 40)
    check(came, range(40))
    if how == "orderly":
        for queue in range(2):
            offsets = [one.offset for one in came if one.queue == queue]
            assert offsets == sorted(offsets)
    assert server.stop() == 0
    server.start(remoting=server.remoting)
    insert(range(40, 60))
    check(consumed(version, server, how, "java-flights", "java-pilots", 20), range(40, 60))
    chosen = consumed(version, server, how, "java-flights", "java-choosers", 2, "delay > 57.0 AND carrier <> 'C58'")
    check(sorted(chosen, key=lambda one: one.body), range(57, 60, 2))
