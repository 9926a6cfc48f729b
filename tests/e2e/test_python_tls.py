"""The Python client by TLS: the server has none, so a proxy before it ends it."""

import asyncio
import ssl
import threading
from pathlib import Path

import pytest
from clients import make_table, numbers
from conftest import eventually
from millstream import Consumer, InvalidInput, Producer, Unavailable, aio, connect

TLS = Path(__file__).parent / "tls"
CA = str(TLS / "ca.pem")


@pytest.fixture
def secure_url(flights_server):
    """The server as ``localhost`` by TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "server.pem")
    context.set_alpn_protocols(["h2"])
    host, port = flights_server.grpc.rsplit(":", 1)
    loop, address = asyncio.new_event_loop(), []

    async def pump(source, sink):
        try:
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        except OSError:
            pass  # cut
        finally:
            sink.close()

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async def listen():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        address.append(server.sockets[0].getsockname()[1])

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(listen(), loop)
    yield f"grpc+tls://localhost:{eventually(lambda: address)[0]}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_all_of_the_client_speaks_tls(flights_server, secure_url):
    make_table(flights_server, "secure")
    settings = {"url": secure_url, "ssl.ca.location": CA}
    with connect(secure_url, ca_file=CA, user="somebody") as connection:
        assert connection.query("SELECT $1 AS one", [1]).to_pylist() == [{"one": 1}]
    with Producer("secure", settings) as producer:
        producer.append(numbers(0, 10_000))
    with Consumer({**settings, "group.id": "secure", "auto.offset.reset": "earliest"}) as member:
        member.subscribe(["secure"])
        assert len(member.poll(30)) == 10_000

    async def tasks():
        async with aio.connect(secure_url, ca_file=CA) as connection:
            return (await connection.query("SELECT count(*) AS n FROM secure")).to_pylist()

    assert asyncio.run(tasks()) == [{"n": 10_000}]


def test_strangers_are_not_trusted(secure_url, tmp_path):
    """The machine's own certificates know nothing of this one's."""
    with connect(secure_url) as connection, pytest.raises(Unavailable):
        connection.query("SELECT 1", timeout_s=20)
    with connect(secure_url.replace("localhost", "127.0.0.1"), ca_file=CA) as connection, pytest.raises(Unavailable):
        connection.query("SELECT 1", timeout_s=20)
    with pytest.raises(InvalidInput, match="certificates"):
        connect(secure_url, ca_file=str(tmp_path / "nothing.pem"))
