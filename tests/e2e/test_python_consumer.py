"""The Python consumer when its connection, membership, partitions or schema go."""

import time

import pytest
from clients import consumer, ids, make_table, numbers, sql, take
from conftest import eventually
from millstream import Fenced, MillstreamError, OutOfRange, Producer, Unavailable


def append(server, table: str, partition: int, start: int, count: int) -> None:
    with Producer(table, {"url": server.url}) as producer:
        producer.append(numbers(start, count), partition=partition)


def members(server, group: str) -> int:
    return sql(server, f"SELECT count(*) AS n FROM system.members WHERE group_id = '{group}'")[0]["n"]


def owns(member, count: int) -> None:
    def polled():
        assert member.poll(0.02) is None
        return len(member.assignment()) == count

    eventually(polled, what=f"owning {count} partitions")


def test_a_member_that_was_shut_out_joins_again_at_the_committed_offsets(flights_server):
    make_table(flights_server, "shut")
    append(flights_server, "shut", 0, 0, 100)
    append(flights_server, "shut", 0, 100, 100)
    with consumer(flights_server.url, "shut", max_poll_rows=50, max_poll_interval_ms=1000, session_timeout_ms=6000) as member:
        member.subscribe(["shut"])
        first = take(member, 150)
        member.commit(first[0])
        eventually(lambda: members(flights_server, "shut") == 0, what="being shut out")
        with pytest.raises(Fenced):
            member.commit()
        again = take(member, 150)
        assert ids(again) == list(range(50, 200))
        assert again[0].generation > first[2].generation
        with pytest.raises(Fenced):
            member.commit(first[2])
        member.commit()
        assert member.committed() == {("shut", 0): 200}


def test_a_member_that_waits_for_rows_is_not_shut_out(flights_server):
    make_table(flights_server, "patient")
    generation = "SELECT generation FROM system.groups WHERE group_id = 'patient'"
    with consumer(flights_server.url, "patient", max_poll_interval_ms=1000, session_timeout_ms=6000) as member:
        member.subscribe(["patient"])
        before = sql(flights_server, generation)
        assert member.poll(4.0) is None
        assert sql(flights_server, generation) == before


def test_in_a_broadcast_group_the_place_may_be_anothers(flights_server):
    make_table(flights_server, "screens")
    keys = {"group_mode": "broadcast", "client_id": "screen"}
    with consumer(flights_server.url, "screens", **keys) as old, consumer(flights_server.url, "screens", **keys) as new:
        old.subscribe(["screens"])
        new.subscribe(["screens"])
        with pytest.raises(Fenced):
            old.poll(20)
        append(flights_server, "screens", 0, 0, 10)
        assert ids(take(new, 10)) == list(range(10))


def test_after_a_break_reading_goes_on_where_it_was(flights_server, proxy):
    make_table(flights_server, "breaks", partitions=2)
    append(flights_server, "breaks", 0, 0, 100)
    append(flights_server, "breaks", 1, 100, 100)
    wire = proxy(flights_server.grpc)
    keys = {"max_poll_rows": 10, "enable_auto_commit": True, "auto_commit_interval_ms": 1}
    with consumer(wire.url, "breaks", **keys) as member:
        member.subscribe(["breaks"])
        seen = []
        for _ in range(10):
            seen += ids(take(member, 20))
            wire.cut()
        assert sorted(seen) == list(range(200)), "nothing twice, nothing left out"
        for _ in range(2):
            assert member.poll(0.3) is None
        assert member.committed() == {("breaks", 0): 100, ("breaks", 1): 100}


def test_an_offset_that_was_moved_during_the_break_is_followed(flights_server, proxy):
    make_table(flights_server, "moved")
    append(flights_server, "moved", 0, 0, 100)
    wire = proxy(flights_server.grpc)
    with consumer(wire.url, "moved") as member:
        member.subscribe(["moved"])
        take(member, 100)
        member.commit()
        wire.cut_off()
        assert member.poll(0.2) is None, "a break is not an error at once"
        eventually(lambda: members(flights_server, "moved") == 0, what="the member going with its connection")
        sql(flights_server, "ALTER CONSUMER GROUP moved SET OFFSET TO 70")
        wire.mend()
        assert ids(take(member, 30)) == list(range(70, 100))
        assert member.poll(0.3) is None


def test_a_server_that_stays_away_is_an_error_in_the_end(serve):
    server = serve()
    make_table(server, "away")
    member = consumer(server.url, "away", reconnect_count=3)
    member.subscribe(["away"])
    server.kill()
    with pytest.raises(Unavailable):
        member.poll(20)
    with pytest.raises(Unavailable):
        member.commit(offsets={("away", 0): 0})
    member.close()


def test_new_columns_come_without_a_repeat(flights_server):
    make_table(flights_server, "growing")
    append(flights_server, "growing", 0, 0, 10)
    with consumer(flights_server.url, "growing") as member:
        member.subscribe(["growing"])
        first = take(member, 10)
        member.pause("growing", [0])
        sql(flights_server, "ALTER TABLE growing ADD COLUMN name VARCHAR")
        sql(flights_server, "INSERT INTO growing VALUES (10, 'ten')")
        assert member.poll(0.3) is None
        member.resume("growing", [0])
        second, = take(member, 1)
        assert second.to_pylist() == [{"id": 10, "name": "ten"}] and second.first_offset == 10
        assert second.generation == first[0].generation, "the member has stayed"
        member.commit()
        assert member.committed() == {("growing", 0): 11}


def test_a_kept_partition_is_committed_across_a_rebalance_and_a_lost_one_is_not(flights_server):
    make_table(flights_server, "halves", partitions=2)
    append(flights_server, "halves", 0, 0, 10)
    append(flights_server, "halves", 1, 10, 10)
    with consumer(flights_server.url, "halves") as first:
        first.subscribe(["halves"])
        batches = take(first, 20)
        with consumer(flights_server.url, "halves") as second:
            second.subscribe(["halves"])
            owns(first, 1)
            (_, kept), = first.assignment()
            for batch in batches:
                if batch.partition == kept:
                    first.commit(batch)
                else:
                    with pytest.raises(Fenced):
                        first.commit(batch)
            assert take(second, 10)[0].partition == 1 - kept
            second.commit()
        owns(first, 2)
        with pytest.raises(Fenced):
            first.commit(next(batch for batch in batches if batch.partition != kept))
        first.commit()
        assert first.poll(0.3) is None
        assert first.committed() == {("halves", 0): 10, ("halves", 1): 10}


def test_a_reset_voids_what_waits(flights_server):
    make_table(flights_server, "resets")
    append(flights_server, "resets", 0, 0, 100)
    with consumer(flights_server.url, "resets", max_poll_rows=10) as member:
        member.subscribe(["resets"])
        before = take(member, 30)
        sql(flights_server, "ALTER CONSUMER GROUP resets SET OFFSET TO 5")
        eventually(lambda: member.position() == {("resets", 0): 5}, what="seeing the reset")
        with pytest.raises(Fenced):
            member.commit(before[2])
        member.commit()
        assert member.committed() == {("resets", 0): 5}
        assert ids(take(member, 95)) == list(range(5, 100))


def test_a_paused_partition_leaves_the_credit_to_the_others(flights_server):
    make_table(flights_server, "pauses", partitions=2)
    append(flights_server, "pauses", 0, 0, 100_000)
    with consumer(flights_server.url, "pauses", fetch_max_bytes=65_536, max_poll_rows=1000) as member:
        member.subscribe(["pauses"])
        first = take(member, 1000)
        time.sleep(0.3)  # all credit is spent on rows of partition 0 that wait
        member.pause("pauses", [0])
        append(flights_server, "pauses", 1, 1_000_000, 100_000)
        assert ids(take(member, 100_000)) == list(range(1_000_000, 1_100_000))
        assert member.poll(0.3) is None
        assert member.position()[("pauses", 0)] == len(ids(first))
        member.resume("pauses", [0])
        first += take(member, 100_000 - len(ids(first)))
        assert ids(first) == list(range(100_000)), "no gap and no repeat"


def test_a_refused_seek_changes_nothing(flights_server):
    make_table(flights_server, "seeks")
    append(flights_server, "seeks", 0, 0, 100)
    with consumer(flights_server.url, "seeks", max_poll_rows=10) as member:
        member.subscribe(["seeks"])
        take(member, 10)
        with pytest.raises(OutOfRange):
            member.seek("seeks", 0, 1000)
        assert ids(take(member, 90)) == list(range(10, 100))


def test_a_row_that_fails_stops_its_partition_only(flights_server):
    make_table(flights_server, "sharing", partitions=2)
    sql(flights_server, "CREATE TOPIC shares AS SELECT id, 100 / id AS share FROM sharing")
    append(flights_server, "sharing", 0, -3, 6)
    append(flights_server, "sharing", 1, 1, 10)
    with consumer(flights_server.url, "shares") as member:
        member.subscribe(["shares"])
        rows, failures = [], 0
        while len(rows) < 13 or failures < 2:
            try:
                rows += ids([member.poll(20)])
            except MillstreamError as error:
                assert error.kind == "failed_precondition" and "partition 0 offset 3" in str(error)
                failures += 1
        assert sorted(rows) == sorted([-3, -2, -1, *range(1, 11)])
        member.seek("shares", 0, 4)
        assert ids(take(member, 2)) == [1, 2]
        assert member.poll(0.3) is None


def test_rows_that_another_member_has_committed_are_not_given_out_after_a_break(flights_server, proxy):
    make_table(flights_server, "taken_over")
    append(flights_server, "taken_over", 0, 0, 1000)
    wire = proxy(flights_server.grpc)
    with consumer(wire.url, "taken_over", max_poll_rows=100) as first, consumer(flights_server.url, "taken_over") as second:
        first.subscribe(["taken_over"])
        assert ids(take(first, 100)) == list(range(100))
        first.commit()
        stream = first._member.streams["taken_over"]
        eventually(lambda: len(stream.inbox._ready) == 9, what="all rows waiting in the client")
        wire.cut_off()
        eventually(lambda: stream.failure is not None and members(flights_server, "taken_over") == 0, what="the break")
        second.subscribe(["taken_over"])
        assert ids(take(second, 900)) == list(range(100, 1000))
        second.commit()
        assert first.poll(0.5) is None, "these are the other's"
        wire.mend()
        second.close()
        append(flights_server, "taken_over", 0, 1000, 10)
        assert ids(take(first, 10)) == list(range(1000, 1010))
