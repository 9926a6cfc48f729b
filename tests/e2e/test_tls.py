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


def test_a_clients_certificate_says_who_it_is(serve, monkeypatch):
    options = ["--tls-required", "always", "--tls-client-ca", CLIENT_CA]
    server = serve(*OPTIONS, *options, env={"MILLSTREAM_INIT_ADMIN_PASSWORD": "a long password"})
    administrator = ["--user", "admin", "--password", "a long password"]
    for statement in ["CREATE TABLE t (a BIGINT)", "INSERT INTO t VALUES (7)", "CREATE USER reports", "GRANT READ ON TABLE t TO reports"]:
        millstream(server, "sql", "-c", statement, *administrator)
    shown = ["--tls-client-cert", CLIENT, "--tls-client-key", CLIENT]
    assert millstream(server, "sql", "--format", "csv", "-c", "SELECT current_user, a FROM t", *shown).split()[-1] == "reports,7"
    assert b"reports" in subprocess.run(
        ["curl", "-sS", "--cacert", CA, "--cert", CLIENT, "-d", "SELECT current_user", f"https://localhost:{server.http.rsplit(':', 1)[1]}/v1/sql"],
        capture_output=True, timeout=60, check=True,
    ).stdout
    with flight.connect(
        secure_url(server), tls_root_certs=Path(CA).read_bytes(), cert_chain=Path(CLIENT).read_bytes(), private_key=Path(CLIENT).read_bytes()
    ) as client:
        assert [info.descriptor.path for info in client.list_flights()] == [[b"public", b"t"]]
    # Whoever says who he is means that.
    assert millstream(server, "sql", "--format", "csv", "-c", "SELECT current_user", *shown, *administrator).split()[-1] == "admin"
    nobody = [BIN, "sql", "-c", "SELECT 1", "--url", secure_url(server), "--tls-ca", CA]
    refused = subprocess.run(nobody, capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0 and "log in" in refused.stderr, refused.stderr
    # Another name of hers, and another user: the certificate is his to whom it was given.
    millstream(server, "sql", "-c", "CREATE USER exports WITH (certificate = 'reports.example')", *administrator)
    millstream(server, "sql", "-c", "ALTER USER reports SET (disabled = true)", *administrator)
    refused = subprocess.run([*nobody, *shown], capture_output=True, text=True, timeout=60)
    assert refused.returncode != 0, refused.stdout


def test_the_doctor_says_what_is_open(serve):
    # Nobody is asked who he is, and no other machine gets here.
    server = serve()
    said = subprocess.run([BIN, "doctor", "--url", server.url], capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and "there are no users" in said.stdout, said.stderr + said.stdout
    options = ["--insecure", "--file-roots", str(server.data.parent)]
    server = serve(*options, name="open", env={"MILLSTREAM_INIT_ADMIN_PASSWORD": "a long password"})
    server.stop()
    server.start(grpc="0.0.0.0:0")
    doctor = [BIN, "doctor", "--url", server.url]
    said = subprocess.run([*doctor, "--user", "admin", "--password", "a long password"], capture_output=True, text=True, timeout=60)
    assert said.returncode == 1, said.stdout
    [line] = [line for line in said.stdout.splitlines() if line.startswith("open")]
    assert "Flight SQL" in line and "0.0.0.0:0" in line and "without TLS" in line
    assert str(server.data.parent) in said.stdout and '"admin" has on all of the server' in said.stdout
    server.cli("sql", "-c", "CREATE USER ann PASSWORD 'another password'", "--user", "admin", "--password", "a long password")
    said = subprocess.run([*doctor, "--user", "ann", "--password", "another password"], capture_output=True, text=True, timeout=60)
    assert said.returncode == 1 and "OPERATE ON SERVER" in said.stderr, said.stderr
