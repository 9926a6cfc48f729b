"""A program that uses all of the Python client; read by the type checker, and never run."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import Future

import millstream
from millstream import Ack, Batch, Consumer, Producer, Result, aio, connect, errors, testing
from typing_extensions import assert_type

Partition = tuple[str, int]


def on_partitions(consumer: Consumer, partitions: list[Partition]) -> None:
    consumer.seek("t", partitions[0][1], "start")


def threads() -> None:
    assert_type(millstream.__version__, str)
    connect(token="t").close()
    connect(token=lambda: "t").close()
    with connect("grpc://127.0.0.1:8081", user="u", password="p", namespace="n") as connection:
        assert_type(connection.query("SELECT $1", [1], timeout_s=1.0), Result)
        assert_type(connection.executemany("INSERT INTO t VALUES ($1)", [(1,)]), Result)
        assert_type(connection.create_plugin("CREATE PLUGIN p FROM UPLOAD", b""), str)
        result = connection.query("SELECT 1")
        assert_type(len(result), int)
        assert_type(result.column_names, list[str])
        for row in result:
            assert_type(list(row), list[str])
    with Producer("t", {"producer.id": str(uuid.uuid4())}) as producer:
        assert_type(producer.send([{"a": 1}], partition=0), list[Future[Ack]])
        assert_type(producer.append({"a": 1})[0].appended[0].first_offset, int)
        assert_type(producer.flush(1.0), int)
        assert_type(producer.producer_id, uuid.UUID)
        producer.close(1.0)
    with Consumer({"group.id": "g"}) as consumer:
        consumer.subscribe(["t"], on_assign=on_partitions, on_revoke=on_partitions)
        assert_type(consumer.assignment(), list[Partition])
        assert_type(iter(consumer), Iterator[Batch])
        batch = consumer.poll(1.0)
        assert_type(batch, "Batch | None")
        if batch is not None:
            assert_type(batch.next_offset, int)
            consumer.commit(batch)
        consumer.commit(offsets={("t", 0): 1})
        assert_type(consumer.committed(), "dict[Partition, int | None]")
        assert_type(consumer.position(), dict[Partition, int])
        assert_type(consumer.offsets(), dict[Partition, tuple[int, int]])
        assert_type(consumer.seek("t", 0, 5), int)
        consumer.pause("t", [0])
        consumer.resume("t", [0])
    error: errors.MillstreamError = errors.Busy("x", "retry")
    assert_type(error.kind, str)
    with testing.server("--log", "debug") as server:
        assert_type(server.url, str)
        assert_type(server.stop(), int)


async def told(consumer: aio.Consumer, partitions: list[Partition]) -> None:
    await consumer.seek("t", 0, "end")


def told_at_once(consumer: aio.Consumer, partitions: list[Partition]) -> None:
    assert_type(consumer.position(), dict[Partition, int])


async def tasks() -> None:
    async with aio.connect() as connection:
        assert_type(await connection.query("SELECT 1"), Result)
        async for _ in connection.stream("SELECT 1"):
            pass
    async with aio.Producer("t") as producer:
        assert_type(await producer.send({"a": 1}), list[asyncio.Future[Ack]])
        assert_type(await producer.append({"a": 1}), list[Ack])
        assert_type(await producer.flush(), int)
    async with aio.Consumer({"group.id": "g"}) as consumer:
        await consumer.subscribe(["t"], on_assign=told, on_revoke=told_at_once)
        assert_type(await consumer.poll(), "Batch | None")
        assert_type(await consumer.committed(), "dict[Partition, int | None]")
        async for batch in consumer:
            assert_type(batch, Batch)
