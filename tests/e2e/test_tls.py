"""TLS as clients have it that are not ours: pyarrow, ADBC, JDBC, curl, and RocketMQ's in Java."""

import os
import subprocess
import sys
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow.flight as flight
import pytest
from adbc_driver_flightsql import DatabaseOptions
from conftest import BIN, FLIGHTS, ROOT
from test_python_tls import CA, CLIENT, CLIENT_CA, OPTIONS, secure_url
from test_rocketmq_grpc import JAVA, java
from test_rocketmq_java import PARTS, VERSIONS, command, first_line

JDBC = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream")) / "jdbc/driver.jar"


@pytest.fixture
def server(serve):
    """It is served by TLS alone."""
    return serve(*OPTIONS, "--tls-required", "always")


def millstream(server, *arguments: str) -> str:
    run = [BIN, *arguments, "--url", secure_url(server), "--tls-ca", CA]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def done(server, run: list[str], **options) -> list[str]:
    ended = subprocess.run(run, capture_output=True, text=True, timeout=300, **options)
    log = Path(f"{server.data}.log").read_text()
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}\n{log[-2000:]}"
    return ended.stdout.splitlines()


def test_pyarrow_and_adbc(server):
    millstream(server, "import", "flights", str(FLIGHTS), "--create")
    with flight.connect(secure_url(server), tls_root_certs=Path(CA).read_bytes()) as client:
        descriptors = [info.descriptor.path for info in client.list_flights()]
    assert [b"public", b"flights"] in descriptors
    with pytest.raises(flight.FlightUnavailableError), flight.connect(f"grpc://{server.grpc}") as client:
        list(client.list_flights())
    trusted = {DatabaseOptions.TLS_ROOT_CERTS.value: Path(CA).read_text()}
    with adbc.connect(secure_url(server), db_kwargs=trusted, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM flights WHERE carrier = ?", ("UA",))
        assert cursor.fetchone()[0] > 0


def test_the_stock_jdbc_driver(server):
    millstream(server, "import", "flights", str(FLIGHTS), "--create")
    opened = "--add-opens=java.base/java.nio=ALL-UNNAMED"
    url = f"localhost:{server.grpc.rsplit(':', 1)[1]}"
    program = str(ROOT / "tests/e2e/jdbc/JdbcCheck.java")
    said = done(server, ["java", opened, "-cp", str(JDBC), program, url, f"useEncryption=true&tlsRootCerts={CA}"])
    assert said[-1] == "password refused" and "inserted 3 1" in said


def test_curl(server):
    port = server.http.rsplit(":", 1)[1]
    curl = ["curl", "-sS", "--max-time", "60", "--cacert", CA]
    for versions in (["--tlsv1.2", "--tls-max", "1.2"], ["--tlsv1.3"]):
        assert done(server, [*curl, *versions, "-d", "SELECT 1 AS one", f"https://localhost:{port}/v1/sql"]) == ['{"one":1}']
    stranger = subprocess.run(["curl", "-sS", f"https://localhost:{port}/readyz"], capture_output=True, timeout=60)
    assert stranger.returncode == 60, "curl's word for a certificate that it does not know"
    plain = done(server, ["curl", "-sS", "-w", "%{http_code}", f"http://localhost:{port}/readyz"])
    assert "https://" in plain[0] and plain[-1].endswith("400")


@pytest.mark.parametrize("part", ["concurrent", "transactions"])
@pytest.mark.parametrize("version", VERSIONS)
def test_rocketmq_clients_that_believe_anybody(server, version, part):
    java, *rest = command(version, server, part)
    said = done(server, [java, "-Dtls.enable=true", *rest])
    assert [line for line in said if line in PARTS[part]] == PARTS[part]


@pytest.mark.parametrize("version", VERSIONS)
def test_rocketmq_clients_that_check_and_are_checked(serve, version):
    server = serve(*OPTIONS, "--tls-required", "always", "--tls-client-ca", CLIENT_CA, "--tls-client-certificates", "required")
    strict = {"enable": "true", "test.mode.enable": "false", "client.authServer": "true", "client.trustCertPath": CA}
    shown = {"client.certPath": CLIENT, "client.keyPath": CLIENT}
    java, *rest = command(version, server, "concurrent")

    def options(*given: dict[str, str]) -> list[str]:
        return [f"-Dtls.{name}={value}" for each in given for name, value in each.items()]

    said = done(server, [java, *options(strict, shown), *rest])
    assert [line for line in said if line in PARTS["concurrent"]] == PARTS["concurrent"]
    # Neither without a certificate of its own, nor where the server's is nobody's that it knows.
    nobody = serve("--tls", "self-signed", name="nobody").data / "tls/certificate.pem"
    other = {**strict, "client.trustCertPath": str(nobody)}
    for wrong in (options(strict), options(other, shown)):
        assert first_line([java, *wrong, *rest], 'Exception in thread "main"'), "it was let in"


def test_rocketmq_clients_over_grpc(server):
    program, *rest = java(server, "simple")
    said = done(server, [program, "-Dmillstream.ssl=true", *rest], env={**os.environ, "HOME": str(server.data.parent)})
    assert [line for line in said if line in JAVA["simple"]] == JAVA["simple"]
    address = f"localhost:{server.grpc.rsplit(':', 1)[1]}"
    check = [sys.executable, str(ROOT / "tests/e2e/rocketmq/grpc_check.py"), address, "simple", "tls"]
    env = {**os.environ, "HOME": str(server.data.parent), "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": CA}
    assert "sent, received and acknowledged" in done(server, check, env=env)
