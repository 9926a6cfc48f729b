"""What the Python client tells: partitions that come and go, log lines, and the producer's ends."""

import logging
import threading
import uuid

import pytest
from clients import consumer, ids, make_table, numbers, sql, take
from conftest import eventually
from millstream import Fenced, Producer, connect, errors
from millstream._queue import Queue
from millstream._wire import millstream_v1_pb2 as wire


class Told:
    """What a consumer's callbacks were given, in their order."""

    def __init__(self):
        self.all = []

    def on_assign(self, member, partitions):
        assert set(partitions) <= set(member.assignment())
        self.all.append(("assign", partitions))

    def on_revoke(self, member, partitions):
        self.all.append(("revoke", partitions))

    def callbacks(self):
        return {"on_assign": self.on_assign, "on_revoke": self.on_revoke}

    def owned(self):
        """Every partition is revoked before it is assigned anew."""
        now = set()
        for what, partitions in self.all:
            assert partitions and len(set(partitions)) == len(partitions)
            assert now.isdisjoint(partitions) if what == "assign" else now >= set(partitions)
            now = now | set(partitions) if what == "assign" else now - set(partitions)
        return now


def produce(server, table, partition, start, count):
    with Producer(table, {"url": server.url}) as producer:
        producer.append(numbers(start, count), partition=partition)


def test_partitions_that_come_and_go_are_told(flights_server):
    make_table(flights_server, "told_of", partitions=4)
    everything = {("told_of", number) for number in range(4)}
    one, two = Told(), Told()
    with consumer(flights_server.url, "told_of") as first:
        first.subscribe(["told_of"], **one.callbacks())
        assert one.all == [], "callbacks run in polls"
        assert first.poll(0) is None and one.all == [("assign", sorted(everything))]
        assert first.poll(0) is None and len(one.all) == 1, "once"
        with consumer(flights_server.url, "told_of") as second:
            second.subscribe(["told_of"], **two.callbacks())

            def shared():
                assert first.poll(0.05) is None and second.poll(0.05) is None
                return len(one.owned()) == len(two.owned()) == 2 and one.owned() | two.owned() == everything

            eventually(shared, what="two partitions each")
            assert one.owned().isdisjoint(two.owned())
        assert two.owned() == set() and two.all[-1][0] == "revoke", "told when it closes"
        eventually(lambda: first.poll(0.05) is None and one.owned() == everything, what="owning all again")
        sql(flights_server, "ALTER CONSUMER GROUP told_of SET OFFSET TO EARLIEST")
        before = len(one.all)
        eventually(lambda: first.poll(0.05) is None and len(one.all) == before + 2, what="hearing of the reset")
        assert one.all[before:] == [("revoke", sorted(everything)), ("assign", sorted(everything))]
    assert one.owned() == set()


def test_a_callback_may_seek_before_rows_come(flights_server):
    make_table(flights_server, "sought")
    produce(flights_server, "sought", 0, 0, 100)

    def on_assign(member, partitions):
        for topic, number in partitions:
            member.seek(topic, number, 90)

    with consumer(flights_server.url, "sought") as member:
        member.subscribe(["sought"], on_assign=on_assign)
        assert ids(take(member, 10)) == list(range(90, 100))


def test_what_is_closed_may_be_committed_by_its_callback_and_what_was_lost_may_not(flights_server):
    make_table(flights_server, "lasts", partitions=2)
    for number in range(2):
        produce(flights_server, "lasts", number, number * 10, 10)
    outcomes = []

    def on_revoke(member, partitions):
        for batch in batches:
            if (batch.topic, batch.partition) in partitions:
                try:
                    member.commit(batch)
                    outcomes.append("committed")
                except Fenced:
                    outcomes.append("fenced")

    with consumer(flights_server.url, "lasts") as member:
        member.subscribe(["lasts"], on_revoke=on_revoke)
        batches = take(member, 20)
        with consumer(flights_server.url, "lasts") as other:
            other.subscribe(["lasts"])
            eventually(lambda: member.poll(0.05) is None and len(member.assignment()) == 1, what="losing one")
            assert outcomes == ["fenced"]
            (kept,) = member.assignment()
            batches = [batch for batch in batches if (batch.topic, batch.partition) == kept]
            member.unsubscribe()
            assert outcomes == ["fenced", "committed"]
    offsets = sql(flights_server, "SELECT partition, committed_offset AS o FROM system.offsets WHERE group_id = 'lasts'")
    assert {row["partition"]: row["o"] for row in offsets}[kept[1]] == 10


def test_an_error_in_a_callback_is_the_polls(flights_server):
    make_table(flights_server, "raises")

    def fail(member, partitions):
        raise ZeroDivisionError

    member = consumer(flights_server.url, "raises")
    member.subscribe(["raises"], on_assign=fail, on_revoke=fail)
    with pytest.raises(ZeroDivisionError):
        member.poll(5)
    assert member.poll(0) is None, "it was told"
    with pytest.raises(ZeroDivisionError):
        member.close()
    eventually(
        lambda: sql(flights_server, "SELECT count(*) AS n FROM system.members WHERE group_id = 'raises'") == [{"n": 0}],
        what="having left all the same",
    )


def test_after_a_break_partitions_are_told_anew_and_reading_goes_on(flights_server, proxy):
    make_table(flights_server, "anew")
    produce(flights_server, "anew", 0, 0, 100)
    wire, told = proxy(flights_server.grpc), Told()
    with consumer(wire.url, "anew", max_poll_rows=10) as member:
        member.subscribe(["anew"], **told.callbacks())
        seen = []
        for _ in range(5):
            seen += ids(take(member, 20))
            wire.cut()
        assert seen == list(range(100))
        eventually(lambda: member.poll(0.05) is None and [what for what, _ in told.all].count("assign") >= 2, what="joining again")
        assert told.owned() == {("anew", 0)}


def test_what_goes_on_is_logged(flights_server, proxy, caplog):
    make_table(flights_server, "logged")
    caplog.set_level(logging.DEBUG, "millstream")
    wire = proxy(flights_server.grpc)
    with consumer(wire.url, "logged") as member, Producer("logged", {"url": wire.url, "reconnect.interval.ms": 20}) as producer:
        member.subscribe(["logged"])
        producer.append(numbers(0, 10))
        take(member, 10)
        wire.cut_off()
        future, = producer.send(numbers(10, 10))
        eventually(lambda: member.poll(0.05) is None and "attempt 2" in caplog.text and "tries again" in caplog.text, what="attempts")
        wire.mend()
        future.result(60)
        take(member, 10)
        with pytest.raises(errors.InvalidInput):
            producer.append([{"nope": 1}])
    names = {record.name for record in caplog.records}
    assert {"millstream.consumer", "millstream.producer"} <= names
    for word in ("joined as member", "partitions gone: []", "joins again, because", "a batch was refused", "left"):
        assert word in caplog.text, word
    assert "group logged" in caplog.text and "table logged" in caplog.text


def test_nothing_is_printed_unless_logs_are_asked_for(flights_server, capfd):
    make_table(flights_server, "quiet")
    with Producer("quiet", {"url": flights_server.url}) as producer, pytest.raises(errors.InvalidInput):
        producer.append([{"nope": 1}])
    assert capfd.readouterr() == ("", "")


def test_a_batch_that_was_sent_is_not_called_back(flights_server):
    make_table(flights_server, "cancelled")
    with Producer("cancelled", {"url": flights_server.url}) as producer:
        futures = [future for n in range(50) for future in producer.send(numbers(n, 1))]
        assert [future.cancel() for future in futures] == [False] * 50
        assert [future.result(60).appended[0].rows for future in futures] == [1] * 50


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_of_the_client_is_told_and_nobody_waits_for_ever(flights_server, monkeypatch):
    make_table(flights_server, "defects")
    produce(flights_server, "defects", 0, 0, 10)

    def broken(*_):
        raise RuntimeError("a defect")

    producer = Producer("defects", {"url": flights_server.url})
    monkeypatch.setattr(producer._queue, "acknowledged", broken)
    future, = producer.send(numbers(0, 1))
    with pytest.raises(errors.MillstreamError, match="a defect"):
        future.result(60)
    producer.close()
    member = consumer(flights_server.url, "defects")
    member.subscribe(["defects"])
    stream = member._member.streams["defects"]
    monkeypatch.setattr(stream, "_handle", broken)
    done = threading.Thread(target=lambda: produce(flights_server, "defects", 0, 10, 10))
    done.start()
    with pytest.raises(errors.MillstreamError, match="a defect"):
        while True:
            assert member.poll(60) is not None
    done.join()
    member.close()


def test_what_is_closed_says_so(flights_server):
    make_table(flights_server, "callbacks_closed")
    connection = connect(flights_server.url)
    member = consumer(flights_server.url, "callbacks_closed")
    producer = Producer("callbacks_closed", {"url": flights_server.url})
    member.subscribe(["callbacks_closed"])
    for thing in (connection, member, producer):
        thing.close()
        thing.close()
    for call in (
        lambda: connection.query("SELECT 1"), lambda: connection.query("SELECT $1", [1]), lambda: member.poll(0), member.commit,
        lambda: member.subscribe(["callbacks_closed"]), member.committed, lambda: producer.send(numbers(0, 1)),
    ):
        with pytest.raises(errors.FailedPrecondition, match="closed"):
            call()
    assert producer.flush() == 0 and member.assignment() == []


def test_a_batch_that_failed_in_part_keeps_its_kind_of_error():
    parts = [numbers(0, 10), numbers(10, 10)]
    for error in (errors.Timeout("late", "timeout"), errors.Unavailable("gone", "retry"), errors.Fenced("fenced", "fenced")):
        queue = Queue(uuid.uuid4(), 0, 0)
        answer = queue.push(parts, None)
        queue.send(0)
        assert queue.acknowledged(wire.Ack(sequence=0)) is None
        ((failed, told),) = queue.fail_all(error)
        assert failed is answer and type(told) is type(error) and told.kind == error.kind
        assert str(told) == f"{error}; the batch's first 10 of 20 rows were appended before that"


def test_seeking_nowhere_is_refused(flights_server):
    make_table(flights_server, "nowhere")
    with consumer(flights_server.url, "nowhere") as member:
        member.subscribe(["nowhere"])
        for to in (-1, "middle", 1.5, None, 2**64):
            with pytest.raises(errors.InvalidInput, match="can't seek"):
                member.seek("nowhere", 0, to)
        assert member.seek("nowhere", 0, 0) == 0
