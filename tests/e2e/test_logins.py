"""Users, passwords and tokens, through clients of others and our own: ADBC, JDBC, pyarrow.flight, curl."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pyarrow.flight as flight
import pytest
from adbc_driver_flightsql import DatabaseOptions
from conftest import ROOT, Server

import millstream
from millstream import aio

ADMIN, ANN = "the first password", "password of ann"
SELECT = "SELECT id FROM t ORDER BY id"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A server with users: ann may do everything to the table t, and her token is beside it."""
    server = Server(tmp_path_factory.mktemp("guarded") / "data", env={"MILLSTREAM_INIT_ADMIN_PASSWORD": ADMIN})
    try:
        with millstream.connect(server.url, user="admin", password=ADMIN) as admin:
            for statement in (
                f"CREATE USER ann PASSWORD '{ANN}'",
                "CREATE TABLE t (id BIGINT NOT NULL)",
                "INSERT INTO t VALUES (1), (2), (3)",
                "GRANT ALL ON TABLE t TO ann",
                "GRANT CONSUME ON GROUP * TO ann",
            ):
                admin.query(statement)
            server.token = token(admin, "CREATE TOKEN stays FOR ann")
        yield server
    finally:
        server.stop()


def admin(server):
    return millstream.connect(server.url, user="admin", password=ADMIN)


def token(connection, statement):
    (row,) = connection.query(statement).to_pylist()
    return row["token"]


def test_pyarrow_logs_in_by_both_handshakes(guarded):
    class LogIn(flight.ClientAuthHandler):
        def __init__(self, password):
            super().__init__()
            self.login, self.token = flight.BasicAuth("ann", password), b""

        def authenticate(self, outgoing, incoming):
            outgoing.write(self.login.serialize())
            self.token = incoming.read()

        def get_token(self):
            return self.token

    client = flight.connect(guarded.url.replace("grpc://", "grpc+tcp://"))
    with pytest.raises(flight.FlightUnauthenticatedError):
        list(client.list_flights())
    for password in (ANN, guarded.token):
        options = flight.FlightCallOptions(headers=[client.authenticate_basic_token("ann", password)])
        assert [info.descriptor.path for info in client.list_flights(options=options)] == [[b"public", b"t"]]
    with pytest.raises(flight.FlightUnauthenticatedError):
        client.authenticate_basic_token("ann", "another password")
    older = flight.connect(guarded.url.replace("grpc://", "grpc+tcp://"))
    with pytest.raises(flight.FlightUnauthenticatedError):
        older.authenticate(LogIn("another password"))
    older.authenticate(LogIn(ANN))
    assert len(list(older.list_flights())) == 1


def test_adbc_logs_in(guarded):
    def rows(options):
        with adbc.connect(guarded.url, db_kwargs=options, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(SELECT)
            return cursor.fetchall()

    header = DatabaseOptions.AUTHORIZATION_HEADER.value
    for options in (
        {"username": "ann", "password": ANN},
        {"username": "ann", "password": guarded.token},
        {header: f"Bearer {guarded.token}"},
    ):
        assert rows(options) == [(1,), (2,), (3,)]
    for options in ({"username": "ann", "password": "another password"}, {header: "Bearer mst_other"}, {}):
        with pytest.raises(adbc.Error):
            rows(options)


def test_jdbc_logs_in(guarded):
    cache = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream"))
    done = subprocess.run(
        ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", str(cache / "jdbc/driver.jar"),
         str(ROOT / "tests/e2e/jdbc/JdbcLogin.java"), guarded.grpc, "ann", ANN, guarded.token],
        capture_output=True, text=True, timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.splitlines() == [
        "password 3",
        "token for a password 3",
        "token 3",
        "wrong password refused",
        "wrong token refused",
        "nothing refused",
    ]


def test_curl_logs_in(guarded):
    def ask(*arguments):
        command = ["curl", "-s", "-w", "\n%{http_code}", *arguments, "-d", SELECT, f"http://{guarded.http}/v1/sql"]
        body, _, status = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.rpartition("\n")
        return int(status), body

    rows = '{"id":1}\n{"id":2}\n{"id":3}\n'
    for arguments in (
        ("-u", f"ann:{ANN}"),
        ("-u", f"ann:{guarded.token}"),
        ("-H", f"Authorization: Bearer {guarded.token}"),
        ("--oauth2-bearer", guarded.token),
    ):
        assert ask(*arguments) == (200, rows), arguments
    for arguments in ((), ("-u", "ann:another password"), ("-H", "Authorization: Bearer mst_other")):
        status, body = ask(*arguments)
        assert status == 401 and '"kind":"unauthenticated"' in body, arguments


def test_the_python_client_logs_in(guarded):
    def count(**login):
        with millstream.connect(guarded.url, **login) as connection:
            return len(connection.query(SELECT))

    async def count_async(**login):
        async with aio.connect(guarded.url, **login) as connection:
            return len(await connection.query(SELECT))

    right = [{"user": "ann", "password": ANN}, {"token": guarded.token}, {"token": lambda: guarded.token}]
    for login in right:
        assert count(**login) == 3
        assert asyncio.run(count_async(**login)) == 3
    for login in ({}, {"user": "ann", "password": "another password"}, {"token": "mst_other"}, {"token": lambda: 1 / 0}):
        with pytest.raises(millstream.Unauthenticated):
            count(**login)
        with pytest.raises(millstream.Unauthenticated):
            asyncio.run(count_async(**login))
    with pytest.raises(millstream.PermissionDenied):
        with millstream.connect(guarded.url, token=guarded.token) as connection:
            connection.query("CREATE TABLE another (id BIGINT)")
    with pytest.raises(millstream.InvalidInput):
        millstream.connect(guarded.url, user="ann", token=guarded.token)


def test_a_consumer_and_a_producer_go_on_with_another_token(guarded):
    with admin(guarded) as connection:
        given = [token(connection, "CREATE TOKEN moves FOR ann")]
        settings = {"url": guarded.url, "token": lambda: given[0]}
        with (
            millstream.Producer("t", settings) as producer,
            millstream.Consumer({**settings, "group.id": "moving"}) as consumer,
        ):
            consumer.subscribe(["t"])
            consumer.poll(0.1)
            for number in range(100, 103):
                producer.append([{"id": number}])
                producer.flush(30.0)
                deadline = time.monotonic() + 30
                while (batch := consumer.poll(1.0)) is None:
                    assert time.monotonic() < deadline, "rows do not come"
                assert batch.data["id"].to_pylist() == [number]
                consumer.commit()
                given[0] = token(connection, "ALTER TOKEN moves FOR ann ROTATE")
            connection.query("DROP TOKEN moves FOR ann")
            with pytest.raises(millstream.Unauthenticated):
                for _ in range(30):
                    consumer.poll(1.0)
            with pytest.raises(millstream.Unauthenticated):
                producer.append([{"id": 200}])[0]
                producer.flush(30.0)


def test_a_consumer_that_waits_is_told_within_a_second(guarded):
    with admin(guarded) as connection:
        settings = {"url": guarded.url, "token": token(connection, "CREATE TOKEN waits FOR ann"), "group.id": "waiting"}
        with millstream.Consumer(settings) as consumer:
            consumer.subscribe(["t"])
            consumer.poll(0.1)
            connection.query("DROP TOKEN waits FOR ann")
            began = time.monotonic()
            with pytest.raises(millstream.Unauthenticated):
                consumer.poll(30.0)
            assert time.monotonic() - began < 1.5
