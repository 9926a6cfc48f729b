"""The Python client for asyncio: under load, with breaks, and with calls that are cancelled at any time."""

import asyncio

import pytest
from clients import make_table, numbers, sql
from conftest import seeded
from millstream import Fenced, Producer, aio, errors

LIMIT_S = 240


def settings(url: str, group: str, **keys):
    fixed = {
        "url": url, "group.id": group, "auto.offset.reset": "earliest",
        "reconnect.interval.ms": 50, "reconnect.max.interval.ms": 50, "reconnect.count": 200,
    }
    return {**fixed, **{key.replace("_", "."): value for key, value in keys.items()}}


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, LIMIT_S))


async def cancelled(task) -> bool:
    """Cancels a task and says whether it was cancelled rather than done."""
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def until(condition) -> None:
    """Waits for a condition that other tasks or threads make true."""
    while not condition():
        await asyncio.sleep(0.01)


def test_produce_and_consume(flights_server):
    make_table(flights_server, "aio", partitions=2)

    async def body():
        async with aio.Producer("aio", {"url": flights_server.url}) as producer:
            acks = [ack for start in range(0, 1000, 100) for ack in await producer.append(numbers(start, 100), partition=0)]
            assert [ack.appended[0].first_offset for ack in acks] == list(range(0, 1000, 100))
            assert await producer.flush() == 0
            futures = [future for n in range(10) for future in await producer.send([{"id": n}], partition=1)]
            assert [ack.appended[0].first_offset for ack in await asyncio.gather(*futures)] == list(range(10))
        async with aio.Consumer(settings(flights_server.url, "aio", enable_auto_commit=False)) as member:
            await member.subscribe(["aio"])
            assert member.assignment() == [("aio", 0), ("aio", 1)]
            seen = {0: [], 1: []}
            async for batch in member:
                seen[batch.partition] += batch.data["id"].to_pylist()
                if sum(map(len, seen.values())) == 1010:
                    break
            assert seen == {0: list(range(1000)), 1: list(range(10))}
            assert await member.poll(0.05) is None and await member.poll(0) is None
            await member.commit()
            assert await member.committed() == member.position() == {("aio", 0): 1000, ("aio", 1): 10}
            assert await member.offsets() == {("aio", 0): (0, 1000), ("aio", 1): (0, 10)}
            assert await member.seek("aio", 0, 995) == 995
            await member.pause("aio", [1])
            assert (await member.poll(20)).data["id"].to_pylist() == list(range(995, 1000))
            await member.resume("aio", [1])
            assert await member.seek_to_time("aio", 1, 0) == 0
            assert (await member.poll(20)).first_offset == 0
            with pytest.raises(errors.OutOfRange):
                await member.seek("aio", 0, 5000)
        with pytest.raises(errors.FailedPrecondition):
            await member.poll()

    run(body())


def test_members_under_load_with_breaks(flights_server, proxy):
    """Four members, two producers, and wires that are cut all the time: nothing is lost."""
    make_table(flights_server, "aio_load", partitions=8)
    batches, rows = 600, 200
    wire, chance = proxy(flights_server.grpc), seeded()
    patient = {"url": wire.url, "reconnect.interval.ms": 20, "reconnect.max.interval.ms": 50}

    async def produce(first):
        async with aio.Producer("aio_load", patient) as producer:
            for n in range(first, batches, 2):
                await producer.send(numbers(n * rows, rows))

    async def cut():
        while True:
            await asyncio.sleep(chance.uniform(0.1, 0.5))
            wire.cut()

    async def consume(seen, done):
        async with aio.Consumer(settings(wire.url, "aio_load", enable_auto_commit=False, max_poll_rows=500)) as member:
            while not member.assignment() and not done.is_set():
                try:
                    await member.subscribe(["aio_load"])
                except errors.Unavailable:
                    pass  # the wire was cut
            while not done.is_set():
                batch = await member.poll(0.2)
                if batch is None:
                    continue
                seen.update((batch.partition, offset) for offset in batch.offsets.to_pylist())
                try:
                    await member.commit(batch)
                except (Fenced, errors.Unavailable):
                    pass  # it comes again, to whoever has the partition
                if len(seen) == batches * rows:
                    done.set()

    async def body():
        seen, done = set(), asyncio.Event()
        cutting = asyncio.create_task(cut())
        producers = [asyncio.create_task(produce(first)) for first in range(2)]
        members = [asyncio.create_task(consume(seen, done)) for _ in range(4)]
        await asyncio.gather(*producers)
        cutting.cancel()
        await asyncio.gather(*members)
        return seen

    seen = run(body())
    found = sql(flights_server, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM aio_load")
    assert found == [{"n": batches * rows, "d": batches * rows}]
    ends = sql(flights_server, "SELECT _partition AS p, count(*) AS n FROM aio_load GROUP BY _partition ORDER BY p")
    assert sorted(seen) == [(row["p"], offset) for row in ends for offset in range(row["n"])]


def test_polls_that_are_cancelled_lose_and_repeat_nothing(flights_server):
    make_table(flights_server, "aio_cancel", partitions=3)
    chance = seeded()

    async def body():
        seen, polls, cancels = [], 0, 0
        async with aio.Producer("aio_cancel", {"url": flights_server.url}) as producer:
            async with aio.Consumer(
                settings(flights_server.url, "aio_cancel", auto_commit_interval_ms=1, max_poll_rows=10)
            ) as member:
                await member.subscribe(["aio_cancel"])

                async def take():
                    # In the task itself: what it was given is here before it can be cancelled again.
                    batch = await member.poll(5)
                    if batch is not None:
                        seen.extend(batch.data["id"].to_pylist())

                async def produce():
                    for n in range(300):
                        await producer.send(numbers(n * 10, 10))
                        await asyncio.sleep(chance.uniform(0, 0.01))

                producing = asyncio.create_task(produce())
                while len(seen) < 3000:
                    task = asyncio.create_task(take())
                    polls += 1
                    await asyncio.sleep(chance.choice([0, 0, 0.001, 0.01]))
                    if chance.random() < 0.5:
                        cancels += await cancelled(task)
                    else:
                        await task
                await producing
                assert sorted(seen) == list(range(3000)), f"{polls} polls, {cancels} cancelled"
                assert cancels > 20
                assert await member.poll(0.1) is None
        return True

    assert run(body())


def test_a_block_that_is_cancelled_commits_nothing(flights_server):
    make_table(flights_server, "aio_block")
    with Producer("aio_block", {"url": flights_server.url}) as producer:
        producer.append(numbers(0, 10))

    async def work(given):
        async with aio.Consumer(settings(flights_server.url, "aio_block")) as member:
            await member.subscribe(["aio_block"])
            batch = await member.poll(20)
            given.set_result(batch.data["id"].to_pylist())
            await asyncio.sleep(3600)

    async def body():
        for _ in range(2):
            given = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(work(given))
            assert await given == list(range(10))
            assert await cancelled(task)
        async with aio.Consumer(settings(flights_server.url, "aio_block")) as member:
            await member.subscribe(["aio_block"])
            assert len(await member.poll(20)) == 10

    run(body())
    assert sql(flights_server, "SELECT committed_offset AS o FROM system.offsets WHERE group_id = 'aio_block'") == [{"o": 10}]


def test_other_tasks_go_on_while_a_call_waits(flights_server, proxy):
    """Nothing here blocks the event loop: not a poll without rows, a server that is away, a full producer, or a long query."""
    make_table(flights_server, "aio_loop")
    wire = proxy(flights_server.grpc)

    async def body():
        longest = 0.0

        async def tick():
            nonlocal longest
            loop, last = asyncio.get_running_loop(), None
            while True:
                now = loop.time()
                longest = max(longest, now - last - 0.01 if last is not None else 0)
                last = now
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        async with aio.Consumer(settings(wire.url, "aio_loop")) as member:
            await member.subscribe(["aio_loop"])
            assert await member.poll(1) is None
            wire.cut_off()
            assert await member.poll(2) is None
            producer = aio.Producer("aio_loop", {"url": wire.url, "max.in.flight": 2, "reconnect.interval.ms": 20})
            for n in range(2):
                await producer.send(numbers(n, 1))
            third = asyncio.create_task(producer.send(numbers(2, 1)))
            assert await producer.flush(0.5) == 2 and not third.done()
            wire.mend()
            (future,) = await third
            assert (await future).appended[0].first_offset == 2
            await producer.close()
            assert len(await member.poll(30)) > 0
        async with aio.connect(flights_server.url) as connection:
            with pytest.raises(errors.Timeout):
                await connection.query("SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS g", timeout_s=1)
        assert await cancelled(ticking)
        assert longest < 5, "half a minute is what the waits of a blocked loop take"

    run(body())


def test_sends_keep_their_order_and_those_cancelled_send_nothing(flights_server, proxy):
    make_table(flights_server, "aio_order")
    wire = proxy(flights_server.grpc)

    async def body():
        producer = aio.Producer("aio_order", {"url": wire.url, "max.in.flight": 1, "reconnect.interval.ms": 20})
        wire.cut_off()
        (first,) = await producer.send(numbers(0, 1))
        waiting = [asyncio.create_task(producer.send(numbers(n, 1))) for n in range(1, 20)]
        await asyncio.sleep(0)  # each of them begins
        for n in range(1, 20, 2):
            assert await cancelled(waiting[n - 1])
        first.cancel()
        wire.mend()
        futures = [(await waiting[n - 1])[0] for n in range(2, 20, 2)]
        assert [ack.appended[0].first_offset for ack in await asyncio.gather(*futures)] == list(range(1, 10))
        await producer.close()
        with pytest.raises(errors.FailedPrecondition):
            await producer.send(numbers(0, 1))

    run(body())
    assert [row["id"] for row in sql(flights_server, "SELECT id FROM aio_order ORDER BY _offset")] == [0, *range(2, 20, 2)]


def test_a_refusal_is_told_once(flights_server, caplog):
    make_table(flights_server, "aio_refused")

    async def body():
        producer = aio.Producer("aio_refused", {"url": flights_server.url})
        (unseen,) = await producer.send([{"nme": 1}])
        with pytest.raises(errors.InvalidInput, match="nme"):
            await producer.flush()
        (seen,) = await producer.send([{"nme": 1}])
        with pytest.raises(errors.InvalidInput, match="nme"):
            await seen
        assert await producer.flush() == 0
        gathered = await asyncio.gather(*await producer.send([{"nme": 1}]), return_exceptions=True)
        assert isinstance(gathered[0], errors.InvalidInput)
        await producer.close()
        del unseen, seen, gathered

    run(body())
    assert "never retrieved" not in caplog.text


def test_callbacks_may_be_coroutines_that_use_the_consumer(flights_server):
    make_table(flights_server, "aio_told", partitions=2)
    with Producer("aio_told", {"url": flights_server.url}) as producer:
        for partition in range(2):
            producer.append(numbers(partition * 100, 100), partition=partition)

    async def body():
        told = []

        async def on_assign(member, partitions):
            told.append(("assign", partitions))
            for topic, number in partitions:
                await member.seek(topic, number, 90)

        def on_revoke(member, partitions):
            told.append(("revoke", partitions))

        async with aio.Consumer(settings(flights_server.url, "aio_told")) as member:
            await member.subscribe(["aio_told"], on_assign=on_assign, on_revoke=on_revoke)
            seen = []
            while len(seen) < 20:
                seen += (await member.poll(20)).data["id"].to_pylist()
            assert sorted(seen) == [*range(90, 100), *range(190, 200)]
        return told

    both = [("aio_told", 0), ("aio_told", 1)]
    assert run(body()) == [("assign", both), ("revoke", both)]


def test_closing_ends_the_polls_of_other_tasks(flights_server, proxy):
    make_table(flights_server, "aio_close")
    wire = proxy(flights_server.grpc)

    async def iterate(member):
        return [batch async for batch in member]

    async def body():
        for away in (False, True):
            member = aio.Consumer(settings(wire.url, "aio_close"))
            await member.subscribe(["aio_close"])
            waiting = asyncio.create_task(iterate(member))
            await until(lambda: member._sync._changed.wakes)
            if away:
                wire.cut_off()
                await until(lambda: not member._sync._member.is_joined())
            try:
                await asyncio.wait_for(member.close(), 60)
            except errors.Unavailable:
                assert away
            assert await asyncio.wait_for(waiting, 10) == []

    run(body())


def test_queries_that_are_cancelled_end_on_the_server(serve):
    server = serve()
    endless = "SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS g"

    def ticks():
        """CPU time of the server, in hundredths of a second."""
        status = open(f"/proc/{server.process.pid}/stat").read().rpartition(")")[2].split()
        return int(status[11]) + int(status[12])

    async def body():
        async with aio.connect(server.url) as connection:
            tasks = [asyncio.create_task(connection.query(endless)) for _ in range(8)]
            await until(lambda at_first=ticks(): ticks() - at_first > 100)
            for task in tasks:
                assert await cancelled(task)
            # Limited by the test's own time: queries that go on take all that they are given.
            before = ticks()
            while True:
                await asyncio.sleep(1)
                before, taken = ticks(), ticks() - before
                if taken < 20:
                    break
            results = await asyncio.gather(*(connection.query("SELECT $1 AS n", [n]) for n in range(64)))
            assert [result.to_pylist() for result in results] == [[{"n": n}] for n in range(64)]
            assert (await connection.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])).to_pylist()[0]["rows"] == 2
            got = 0
            async for batch in connection.stream("SELECT value FROM generate_series(1, 100000) AS g"):
                got += batch.num_rows
            assert got == 100_000
            async for batch in connection.stream("SELECT value FROM generate_series(1, 1000000000) AS g"):
                break
            with pytest.raises(errors.InvalidInput, match="divide"):
                async for batch in connection.stream("SELECT 1 / (90000 - value) FROM generate_series(1, 100000) AS g"):
                    pass
            with pytest.raises(errors.AlreadyExists):
                await connection.execute("CREATE TABLE t (a INT)")

    sql(server, "CREATE TABLE t (a INT)")
    run(body())


def test_what_is_closed_says_so(flights_server):
    make_table(flights_server, "aio_closed")

    async def body():
        connection = aio.connect(flights_server.url)
        member = aio.Consumer(settings(flights_server.url, "aio_closed"))
        producer = aio.Producer("aio_closed", {"url": flights_server.url})
        await member.subscribe(["aio_closed"])
        await producer.append(numbers(0, 1))
        for thing in (connection, member, producer):
            async with thing:
                await thing.close()
            await thing.close()
        for call in (
            lambda: connection.query("SELECT 1"), lambda: member.poll(0), member.commit, member.committed,
            lambda: member.subscribe(["aio_closed"]), lambda: producer.send(numbers(0, 1)),
        ):
            with pytest.raises(errors.FailedPrecondition, match="closed"):
                await call()
        await member.unsubscribe()
        assert [batch async for batch in member] == [] and await producer.flush() == 0

    run(body())


def test_one_task_takes_and_others_commit(flights_server):
    """Also while there is nothing to take."""
    make_table(flights_server, "aio_workers", partitions=2)
    with Producer("aio_workers", {"url": flights_server.url}) as producer:
        for n in range(20):
            producer.append(numbers(n * 10, 10), partition=n % 2)

    async def body():
        work = asyncio.Queue()
        async with aio.Consumer(
            settings(flights_server.url, "aio_workers", enable_auto_commit=False, max_poll_rows=10)
        ) as member:
            await member.subscribe(["aio_workers"])

            async def take():
                async for batch in member:
                    await work.put(batch)

            taking = asyncio.create_task(take())
            ends = {}
            for _ in range(20):
                batch = await work.get()
                await member.commit(batch)
                ends[("aio_workers", batch.partition)] = batch.next_offset
            assert await member.committed() == ends == {("aio_workers", 0): 100, ("aio_workers", 1): 100}
            assert not taking.done()
            both = await asyncio.gather(member.poll(0.1), member.poll(0.2), member.offsets())
            assert both == [None, None, {("aio_workers", 0): (0, 100), ("aio_workers", 1): (0, 100)}]
        await taking

    run(body())
