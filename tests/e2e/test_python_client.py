"""The Python client against the real server: groups, offsets, breaks."""

import json
import subprocess
import sys
import threading
import uuid

import pyarrow as pa
import pytest
from clients import consumer, ids, make_table, numbers, take
from conftest import ROOT, eventually
from millstream import Consumer, InvalidInput, MillstreamError, Producer, _config, connect


def test_produce_and_consume(flights_server):
    make_table(flights_server, "pc")
    with Producer("pc", {"url": flights_server.url}) as producer:
        acks = [ack for start in range(0, 1000, 100) for ack in producer.append(numbers(start, 100))]
    assert [(a.appended[0].partition, a.appended[0].first_offset, a.durability) for a in acks] == [
        (0, start, "sync") for start in range(0, 1000, 100)
    ]
    with consumer(flights_server.url, "pc") as member:
        member.subscribe(["pc"])
        assert member.assignment() == [("pc", 0)]
        batches = take(member, 1000)
        assert ids(batches) == list(range(1000))
        assert [o for b in batches for o in b.offsets.to_pylist()] == list(range(1000))
        assert member.committed() == {("pc", 0): 0}
        member.commit(batches[0])
        assert member.committed() == {("pc", 0): batches[0].next_offset}
        member.commit()
        assert member.committed() == {("pc", 0): 1000} and member.position() == {("pc", 0): 1000}
        assert batches[0].to_pandas()["id"].tolist() == batches[0].to_polars()["id"].to_list()
        assert member.seek("pc", 0, 990) == 990
        assert ids(take(member, 10)) == list(range(990, 1000))
        assert member.committed() == {("pc", 0): 1000}
        member.seek("pc", 0, "start")
        assert ids(take(member, 1000)) == list(range(1000))
        assert member.poll(0.2) is None


def test_defaults_are_those_of_the_page():
    table = (ROOT / "docs/delivery.md").read_text().split("## Parameters\n")[1].strip().split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    defaults = {row[0].strip("`"): row[2] for row in rows}
    elsewhere = {"url", "user", "password", "token"} | {name for name in _config.DEFAULTS if name.startswith("ssl.")}
    assert set(defaults) == set(_config.DEFAULTS) - elsewhere
    for name, default in defaults.items():
        value = {"required": "g", "empty": ""}.get(default, default)
        assert _config.read({"group.id": "g", name: value}) == _config.read({"group.id": "g"}), name


def test_filtered_topic_carries_source_offsets(flights_server):
    make_table(flights_server, "evens")
    with connect(flights_server.url) as connection:
        connection.execute("CREATE TOPIC only_evens AS SELECT id FROM evens WHERE id % 2 = 0")
    with Producer("evens", {"url": flights_server.url}) as producer:
        producer.append(numbers(0, 5000))
        producer.append(pa.RecordBatch.from_pydict({"id": pa.array([1] * 100, pa.int64())}))
    with consumer(flights_server.url, "evens") as member:
        member.subscribe(["only_evens"])
        batches = take(member, 2500)
        assert ids(batches) == list(range(0, 5000, 2))
        assert [o for b in batches for o in b.offsets.to_pylist()] == list(range(0, 5000, 2))
        assert member.poll(0.5) is None
        assert member.position() == {("only_evens", 0): 5100}, "positions move past filtered rows"


def test_a_producers_repeat_is_not_appended_again(flights_server):
    make_table(flights_server, "idem")
    stream = str(uuid.uuid4())
    answers = []
    for _ in range(2):
        with Producer("idem", {"url": flights_server.url, "producer.id": stream}) as producer:
            answers.append([producer.append(numbers(start, 10))[0] for start in (0, 10)])
    assert [a.appended for a in answers[0]] == [a.appended for a in answers[1]]
    assert [a.duplicate for a in answers[0]] == [False, False] and [a.duplicate for a in answers[1]] == [True, True]
    with connect(flights_server.url) as connection:
        assert connection.execute("SELECT count(*) AS n FROM idem").to_pylist() == [{"n": 20}]


def test_wrong_schema_is_refused_with_the_columns_name(flights_server):
    make_table(flights_server, "strict")
    with pytest.raises(MillstreamError, match="nme"):
        with Producer("strict", {"url": flights_server.url}) as producer:
            producer.append(pa.table({"id": [1], "nme": ["x"]}))
    with connect(flights_server.url) as connection:
        assert connection.execute("SELECT count(*) AS n FROM strict").to_pylist() == [{"n": 0}]


def test_configuration_is_checked():
    for config, word in [
        ({"group.id": "g", "sesion.timeout.ms": 1}, "sesion"),
        ({}, "group.id"),
        ({"group.id": "g" * 193}, "192"),
        ({"group.id": "g", "session.timeout.ms": 5}, "6000"),
        ({"group.id": "g", "auto.offset.reset": "newest"}, "earliest"),
    ]:
        with pytest.raises(InvalidInput, match=word):
            Consumer(config)


MEMBER = """
import json, sys
from millstream import Consumer
url, group = sys.argv[1:]
with Consumer({"url": url, "group.id": group, "auto.offset.reset": "earliest", "session.timeout.ms": 6000}) as member:
    member.subscribe(["shared_work"])
    print(json.dumps({"assigned": member.assignment()}), flush=True)
    for batch in member:
        print(json.dumps({"partition": batch.partition, "offsets": batch.offsets.to_pylist()}), flush=True)
"""


class MemberProcess:
    def __init__(self, server, group):
        self.process = subprocess.Popen(
            [sys.executable, "-c", MEMBER, server.url, group],
            stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT / "clients/python/src")},
        )
        self.lines = []
        threading.Thread(target=lambda: self.lines.extend(map(json.loads, self.process.stdout)), daemon=True).start()

    def seen(self) -> list[tuple[int, int]]:
        return [(line["partition"], o) for line in list(self.lines) if "offsets" in line for o in line["offsets"]]


def test_two_processes_share_partitions_and_one_takes_over(flights_server):
    make_table(flights_server, "shared_work", partitions=4)

    def owners():
        with connect(flights_server.url) as connection:
            rows = connection.execute(
                "SELECT member_id, partition FROM system.assignments WHERE group_id = 'two'"
            ).to_pylist()
        return sorted(len([r for r in rows if r["member_id"] == m]) for m in {r["member_id"] for r in rows})

    members = [MemberProcess(flights_server, "two") for _ in range(2)]
    try:
        eventually(lambda: owners() == [2, 2], what="two partitions for each of two members")
        with Producer("shared_work", {"url": flights_server.url}) as producer:
            for start in range(0, 4000, 100):
                producer.append(numbers(start, 100))
            both = lambda: set(members[0].seen()) | set(members[1].seen())
            eventually(lambda: len(both()) == 4000, what="all rows by two members")
            assert len(members[0].seen()) + len(members[1].seen()) == 4000, "nobody left or joined: no row twice"
            members[0].process.kill()
            eventually(lambda: owners() == [4], what="the survivor owning all partitions")
            for start in range(4000, 6000, 100):
                producer.append(numbers(start, 100))
            eventually(lambda: len(both()) == 6000, what="all rows by the survivor")
    finally:
        for member in members:
            member.process.kill()


def test_consumer_and_producer_outlive_a_server_crash(serve):
    server = serve()
    make_table(server, "crashy")
    grpc = server.grpc
    with Producer("crashy", {"url": server.url}) as producer, consumer(server.url, "crashy") as member:
        producer.append(numbers(0, 100))
        member.subscribe(["crashy"])
        assert ids(take(member, 100)) == list(range(100))
        member.commit()
        server.kill()
        futures = producer.send(numbers(100, 100))
        server.start(grpc=grpc)
        assert [f.result(60).duplicate for f in futures] == [False]
        assert ids(take(member, 100)) == list(range(100, 200))
