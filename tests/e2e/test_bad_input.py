"""What comes from outside is wrong, huge, slow or half-dead: a clear error, nothing lost, memory within bounds."""

import http.client
import os
import socket
import struct
import urllib.error
import urllib.request

import pyarrow as pa
import pyarrow.flight as flight
import pytest
from millstream import Consumer, MillstreamError, Producer, connect

MEMORY_LIMIT = 512 << 20


@pytest.fixture
def server(serve):
    server = serve()
    with connect(server.url) as connection:
        connection.execute("CREATE TABLE t (id BIGINT NOT NULL, text VARCHAR)")
        connection.execute("INSERT INTO t VALUES (1, 'kept')")
    yield server
    assert server.process.poll() is None, "the server died"
    with connect(server.url) as connection:
        assert connection.execute("SELECT id, text FROM t LIMIT 1").to_pylist() == [{"id": 1, "text": "kept"}]
    assert server.rss_bytes() < MEMORY_LIMIT
    assert server.stop() == 0


def put(server, schema: pa.Schema, batches) -> None:
    client = flight.connect(server.url.replace("grpc://", "grpc+tcp://"))
    writer, _ = client.do_put(flight.FlightDescriptor.for_path("public", "t"), schema)
    for batch in batches:
        writer.write_batch(batch)
    writer.close()


def test_statements_that_are_not_sql(server):
    with connect(server.url) as connection:
        for text in ("", ";", "SELEC 1", "SELECT '", "CREATE TABLE", "CREATE TOPIC x AS", "\x00", "(" * 5000, "SELECT " + "(" * 3000 + "1" + ")" * 3000,
                     "CREATE TABLE x (a BIGINT) WITH (partitons = 1)", "SELECT " + " + ".join(["1"] * 20000)):
            try:
                connection.execute(text)
            except MillstreamError as error:
                assert str(error)
        assert connection.execute("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_wrong_schemas(server):
    for schema in (
        pa.schema([("id", pa.string())]),
        pa.schema([("nope", pa.int64())]),
        pa.schema([("id", pa.int64()), ("id", pa.int64())]),
        pa.schema([("text", pa.string())]),
    ):
        batch = pa.RecordBatch.from_arrays([pa.nulls(3, field.type) for field in schema], schema=schema)
        with pytest.raises(pa.ArrowException):
            put(server, schema, [batch])


def test_a_batch_of_a_gibibyte_is_refused(server):
    text = pa.array(["x" * (1 << 20)] * 1024)
    batch = pa.RecordBatch.from_arrays([pa.array(range(1024), pa.int64()), text], names=["id", "text"])
    with pytest.raises((pa.ArrowException, MemoryError)):
        put(server, batch.schema, [batch])
    assert server.rss_bytes() < MEMORY_LIMIT


def test_a_schema_of_a_million_columns_is_refused(server):
    schema = pa.schema([(f"c{i}", pa.int8()) for i in range(1_000_000)])
    with pytest.raises(pa.ArrowException):
        put(server, schema, [])
    with connect(server.url) as connection, pytest.raises(MillstreamError):
        connection.execute("CREATE TABLE wide (" + ", ".join(f"c{i} INT" for i in range(20_000)) + ")")


def http2_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def test_garbage_on_the_doors(server):
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = http2_frame(4, 0, 0, b"")
    for door in (server.grpc, server.http):
        host, port = door.rsplit(":", 1)
        for garbage in (os.urandom(4096), preface, preface + os.urandom(4096), preface + settings + http2_frame(1, 4, 1, os.urandom(200)),
                        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 10_000, b"POST /v1/sql HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                try:
                    connection.sendall(garbage)
                except OSError:
                    pass  # closed on us already, which is an answer


def test_half_open_connections(server):
    host, port = server.grpc.rsplit(":", 1)
    sockets = [socket.create_connection((host, int(port))) for _ in range(200)]
    for connection in sockets[::2]:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM")
    with connect(server.url) as connection:
        assert connection.execute("SELECT count(*) AS n FROM t").to_pylist() == [{"n": 1}]
    for connection in sockets:
        connection.close()


def test_a_consumer_that_never_reads(server):
    rows = pa.RecordBatch.from_pydict({"id": pa.array(range(1000), pa.int64()), "text": ["y" * 1000] * 1000})
    stuck = Consumer({"url": server.url, "group.id": "stuck", "auto.offset.reset": "earliest"})
    stuck.subscribe(["t"])
    with Producer("t", {"url": server.url}) as producer:
        for _ in range(300):
            producer.send(rows)
    assert server.rss_bytes() < MEMORY_LIMIT
    taken = 0
    while taken < 300_001:
        batch = stuck.poll(20)
        assert batch is not None
        taken += len(batch)
    stuck.close()


def test_http_bodies(server):
    def post(body: bytes) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://{server.http}/v1/sql", data=body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    assert post(b"SELECT 1 AS one") == (200, b'{"one":1}\n')
    for body in (b"", b"\xff\xfe", b'{"sql": 1}', b"SELEC", b"SELECT * FROM nothing_here"):
        status, text = post(body)
        assert 400 <= status < 500 and b"message" in text, (body, status, text)
    try:
        status, _ = post(b"x" * (64 << 20))
        assert 400 <= status < 500
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError):
        pass  # refused before the body was sent
