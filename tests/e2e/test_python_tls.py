"""The Python client by TLS."""

import asyncio
import hashlib
import ssl
from pathlib import Path

import pytest
from clients import make_table, numbers
from millstream import Consumer, InvalidInput, Producer, Unavailable, aio, connect

TLS = Path(__file__).parent / "tls"
CA = str(TLS / "ca.pem")
SERVER = str(TLS / "server.pem")
CLIENT_CA = str(TLS / "client-ca.pem")
CLIENT = str(TLS / "client.pem")
OPTIONS = ["--tls", "files", "--tls-cert", SERVER, "--tls-key", SERVER]
FINGERPRINT = hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(SERVER).read_text().split("-----BEGIN PRIVATE")[0])).hexdigest()


def secure_url(server) -> str:
    return f"grpc+tls://localhost:{server.grpc.rsplit(':', 1)[1]}"


def test_all_of_the_client_speaks_tls(serve):
    server = serve(*OPTIONS)
    make_table(server, "secure")
    url = secure_url(server)
    settings = {"url": url, "ssl.ca.location": CA}
    with connect(url, ca_file=CA, user="somebody") as connection:
        assert connection.query("SELECT $1 AS one", [1]).to_pylist() == [{"one": 1}]
    with Producer("secure", settings) as producer:
        producer.append(numbers(0, 10_000))
    with Consumer({**settings, "group.id": "secure", "auto.offset.reset": "earliest"}) as member:
        member.subscribe(["secure"])
        assert len(member.poll(30)) == 10_000

    async def tasks():
        async with aio.connect(url, ca_file=CA) as connection:
            return (await connection.query("SELECT count(*) AS n FROM secure")).to_pylist()

    assert asyncio.run(tasks()) == [{"n": 10_000}]


def test_strangers_are_not_trusted(serve, tmp_path):
    """The machine's own certificates know nothing of this one's."""
    server = serve(*OPTIONS, "--tls-required", "always")
    url = secure_url(server)
    with connect(url) as connection, pytest.raises(Unavailable):
        connection.query("SELECT 1", timeout_s=20)
    with connect(url.replace("localhost", "127.0.0.1"), ca_file=CA) as connection, pytest.raises(Unavailable):
        connection.query("SELECT 1", timeout_s=20)
    with connect(server.url) as connection, pytest.raises(Unavailable):
        connection.query("SELECT 1", timeout_s=20)
    with pytest.raises(InvalidInput, match="certificates"):
        connect(url, ca_file=str(tmp_path / "nothing.pem"))
    with pytest.raises(InvalidInput, match=r"grpc\+tls"):
        connect(server.url, ca_file=CA)


def test_a_server_is_known_by_its_fingerprint(serve):
    server = serve(*OPTIONS)
    make_table(server, "pinned")
    colons = ":".join(FINGERPRINT[at : at + 2].upper() for at in range(0, 64, 2))
    # The certificate is for localhost.
    for url in (secure_url(server), secure_url(server).replace("localhost", "127.0.0.1")):
        for fingerprint in (FINGERPRINT, f"SHA256:{FINGERPRINT}", colons):
            with connect(url, fingerprint=fingerprint) as connection:
                assert connection.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
        settings = {"url": url, "ssl.fingerprint": FINGERPRINT}
        with Producer("pinned", settings) as producer:
            producer.append(numbers(0, 10))
    with Consumer({**settings, "group.id": "pinned", "auto.offset.reset": "earliest"}) as member:
        member.subscribe(["pinned"])
        assert len(member.poll(30)) > 0
    with pytest.raises(Unavailable, match=FINGERPRINT):
        connect(url, fingerprint="0" * 64)
    with pytest.raises(InvalidInput, match="64 hexadecimal"):
        connect(url, fingerprint="SHA256:12")


def test_a_self_signed_server_is_known_by_what_it_says(serve):
    server = serve("--tls", "self-signed", "--tls-min-version", "1.3")
    for known in ({"ca_file": str(server.data / "tls/certificate.pem")}, {"fingerprint": server.fingerprint}):
        with connect(secure_url(server), **known) as connection:
            assert connection.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_clients_show_certificates(serve):
    server = serve(*OPTIONS, "--tls-client-ca", CLIENT_CA, "--tls-client-certificates", "required", "--tls-required", "always")
    url = secure_url(server)
    with connect(url, ca_file=CA) as connection, pytest.raises(Unavailable):
        connection.query("SELECT 1", timeout_s=20)
    shown = {"certificate_file": CLIENT, "key_file": CLIENT}
    for known in ({"ca_file": CA}, {"fingerprint": FINGERPRINT}):
        with connect(url, **known, **shown) as connection:
            assert connection.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    with pytest.raises(InvalidInput, match="together"):
        connect(url, ca_file=CA, certificate_file=CLIENT)
