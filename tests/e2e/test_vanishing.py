"""Client processes that die or freeze: their partitions move on, and no row is lost or doubled. Processes are killed from
outside, so that no library gets to say good-bye; calls cancelled in mid-stream are tested in server/tests."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
import time
import uuid

import pyarrow.flight as flight
from clients import consumer, ids, make_table, numbers, sql, take
from conftest import ROOT, eventually
from millstream import Producer
from millstream._wire import millstream_v1_pb2 as wire
from millstream.errors import ARROW_ERRORS

MEMBER = """
import json, sys
from millstream import Consumer
url, group, topic, commits = sys.argv[1:]
member = Consumer({"url": url, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
                   "session.timeout.ms": 6000, "max.poll.rows": 100, "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 200})
member.subscribe([topic])
for number, batch in enumerate(member):
    if number < int(commits):
        member.commit(batch)
    print(json.dumps([batch.partition, batch.data["id"].to_pylist()]), flush=True)
"""

WRITER = """
import sys, threading
from millstream import Producer
import pyarrow as pa
url, table, stream = sys.argv[1:]
producer = Producer(table, {"url": url, "producer.id": stream})
for n in range(1_000_000):
    batch = pa.RecordBatch.from_pydict({"id": pa.array(range(n * 10, n * 10 + 10), pa.int64())})
    future, = producer.send(batch)
    future.add_done_callback(lambda done: print(done.result().next_sequence, flush=True))
"""


class Process:
    """A Python program whose lines of JSON are collected."""

    def __init__(self, program: str, *arguments: str):
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "clients/python/src")},
        )
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            if line.endswith("\n"):
                self.lines.append(json.loads(line))

    def ids(self) -> list[int]:
        return [value for _, values in list(self.lines) for value in values]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(30)


def metric(server, name: str) -> float:
    with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"millstream_{name} "))


def owners(server, group: str) -> list[int]:
    """How many partitions each member has."""
    rows = sql(server, f"SELECT member_id FROM system.assignments WHERE group_id = '{group}'")
    members = [row["member_id"] for row in rows]
    return sorted(members.count(member) for member in set(members))


def calls(server) -> float:
    return sum(metric(server, f'flight_calls{{call="{call}"}}') for call in ("do_get", "do_put", "do_exchange"))


def fill(server, table: str, partitions: int, rows_each: int) -> None:
    with Producer(table, {"url": server.url}) as producer:
        for partition in range(partitions):
            for start in range(0, rows_each, 1000):
                producer.send(numbers(partition * rows_each + start, 1000), partition=partition)
        producer.flush()


def test_a_consumer_that_is_killed_in_mid_stream(serve):
    server = serve()
    make_table(server, "work", partitions=2)
    fill(server, "work", 2, 200_000)
    memory = []
    for round in range(5):
        victim = Process(MEMBER, server.url, "group", "work", "3")
        eventually(lambda: len(victim.lines) > 10, what="rows at the consumer that will die")
        victim.kill()
        eventually(lambda: metric(server, "members") == 0, what="the member going with its connection")
        eventually(lambda: calls(server) == 0, what="its calls going")
        memory.append(server.rss_bytes())
    assert memory[-1] < memory[1] + (64 << 20), memory
    committed = sql(server, "SELECT partition, committed_offset AS o FROM system.offsets WHERE group_id = 'group' ORDER BY 1")
    assert sum(row["o"] for row in committed) == 5 * 3 * 100
    with consumer(server.url, "group") as survivor:
        survivor.subscribe(["work"])
        rest = take(survivor, 400_000 - 1500)
        expected = [p * 200_000 + id for p, row in enumerate(committed) for id in range(row["o"], 200_000)]
        assert sorted(ids(rest)) == expected, "all that was not committed, and nothing else"
        assert survivor.poll(0.3) is None
    assert server.stop() == 0


def test_partitions_of_the_killed_move_to_the_living(serve):
    server = serve()
    make_table(server, "work", partitions=4)
    fill(server, "work", 4, 20_000)
    victim, survivor = (Process(MEMBER, server.url, "group", "work", "0") for _ in range(2))
    try:
        eventually(lambda: owners(server, "group") == [2, 2], what="two partitions for each")
        eventually(lambda: len(set(victim.ids()) | set(survivor.ids())) == 80_000, what="all rows once")
        victim.kill()
        eventually(lambda: owners(server, "group") == [4], what="the survivor owning all partitions")
        # Nothing was committed, so that it gets the rows of the dead one from the start.
        eventually(lambda: len(set(survivor.ids())) == 80_000, what="all rows at the survivor")
    finally:
        victim.kill()
        survivor.kill()
    eventually(lambda: calls(server) == 0, what="all calls going")
    assert server.stop() == 0


def test_a_consumer_that_freezes_loses_its_place_and_comes_back(serve):
    server = serve()
    make_table(server, "work", partitions=2)
    frozen, other = (Process(MEMBER, server.url, "group", "work", "1000000") for _ in range(2))
    try:
        eventually(lambda: owners(server, "group") == [1, 1], what="a partition for each")
        frozen.process.send_signal(signal.SIGSTOP)
        eventually(lambda: owners(server, "group") == [2], what="the session of the frozen one timing out")
        fill(server, "work", 2, 10_000)
        eventually(lambda: len(other.ids()) == 20_000, what="all rows at the other one")
        frozen.process.send_signal(signal.SIGCONT)
        eventually(lambda: owners(server, "group") == [1, 1], what="it joining again")
        fill(server, "work", 2, 1_000)
        both = lambda: sorted(frozen.ids() + other.ids())
        eventually(lambda: len(both()) == 22_000, what="the rows since then, at either")
        assert len(frozen.ids()) == 1000, "one partition's rows of since it came back, and none of before"
    finally:
        frozen.kill()
        other.kill()
    assert server.stop() == 0


def test_a_server_that_stood_still_takes_nobody_for_dead(serve):
    """A machine that was halted hears nothing meanwhile; its clients were alive all the time."""
    server = serve()
    make_table(server, "work", partitions=2)
    member = Process(MEMBER, server.url, "group", "work", "1000000")
    try:
        fill(server, "work", 2, 1_000)
        eventually(lambda: len(member.ids()) == 2_000, what="rows")
        before = sql(server, "SELECT DISTINCT member_id FROM system.assignments")
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(9)  # the session's time-out is 6 s
        server.process.send_signal(signal.SIGCONT)
        time.sleep(1)
        assert sql(server, "SELECT DISTINCT member_id FROM system.assignments") == before and len(before) == 1
        fill(server, "work", 2, 1_000)
        eventually(lambda: len(member.ids()) == 4_000, what="rows behind it")
    finally:
        member.kill()
    assert server.stop() == 0


def test_a_producer_that_is_killed_between_two_batches(serve):
    server = serve()
    make_table(server, "log")
    stream = str(uuid.uuid4())
    writer = Process(WRITER, server.url, "log", stream)
    eventually(lambda: len(writer.lines) > 100, what="acknowledged batches")
    writer.kill()
    eventually(lambda: calls(server) == 0, what="its call going")
    acknowledged = writer.lines[-1]
    count = "SELECT count(*) AS n, count(DISTINCT id) AS d, max(id) AS m FROM log"
    found, = sql(server, count)
    assert found["n"] == found["d"] == found["m"] + 1 and found["n"] % 10 == 0, "whole batches, in order, none twice"
    assert found["n"] >= acknowledged * 10
    # Its successor does not know what else arrived, and sends everything from the first batch without an answer.
    last = found["n"] // 10 + 5
    with Producer("log", {"url": server.url, "producer.id": stream, "producer.first.sequence": acknowledged}) as producer:
        acks = [producer.append(numbers(n * 10, 10))[0] for n in range(acknowledged, last)]
    assert [ack.duplicate for ack in acks] == [n * 10 < found["n"] for n in range(acknowledged, last)]
    assert sql(server, count) == [{"n": last * 10, "d": last * 10, "m": last * 10 - 1}]
    assert server.stop() == 0


def test_who_is_writing_hears_why_a_stream_has_ended(serve):
    """gRPC's library for C++ throws away what was not read yet when a write fails, so a call must not end before it was heard."""
    server = serve()
    make_table(server, "work")
    with flight.connect(server.url) as client:
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"millstream.v1.consume"))
        hello = wire.ConsumerRequest(hello=wire.Hello(version=1, group_id="group", topic="work", topics=["work"]))
        for _ in range(2):  # the second one is an error
            writer.write_metadata(hello.SerializeToString())
        eventually(lambda: metric(server, "members") == 0, what="its place being given up")
        heartbeat = wire.ConsumerRequest(heartbeat=wire.Heartbeat(request_id=1))
        try:
            for _ in range(10):
                time.sleep(0.1)
                writer.write_metadata(heartbeat.SerializeToString())
        except ARROW_ERRORS:
            pass  # what matters is what can still be read
        heard = []
        try:
            while not heard or not heard[-1].HasField("end"):
                heard.append(wire.ConsumerReply.FromString(reader.read_chunk().app_metadata.to_pybytes()))
        except StopIteration:
            pass
        assert heard and "sent once" in heard[-1].end.error.message, heard
        reader.cancel()
    eventually(lambda: calls(server) == 0, what="the call going with its client")
    assert server.stop() == 0
