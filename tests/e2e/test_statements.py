"""What `execute` returned for has been done, once, whatever becomes of the cursor, through kills of the server."""

import os
import random
import subprocess
import threading
import time
from pathlib import Path

import adbc_driver_flightsql.dbapi as adbc
import pytest
from conftest import ROOT
from flightsql import FlightSQLClient

INSERTS = 1000
KILLS = 4


def query(url, sql):
    with adbc.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetch_arrow_table().to_pylist()


def test_a_cursor_that_is_closed_at_once_has_inserted(flights_server):
    with adbc.connect(flights_server.url, autocommit=True) as connection:
        for statement in ["CREATE TABLE closed_at_once (id BIGINT)"] + [f"INSERT INTO closed_at_once VALUES ({n})" for n in range(20)]:
            connection.cursor().execute(statement)
        with connection.cursor() as cursor:
            for n in range(20, 40):
                cursor.execute("INSERT INTO closed_at_once VALUES (?)", (n,))
    assert query(flights_server.url, "SELECT count(*) AS n, sum(id) AS s FROM closed_at_once") == [{"n": 40, "s": sum(range(40))}]


def test_errors_of_statements_are_raised_by_execute(flights_server):
    with adbc.connect(flights_server.url, autocommit=True) as connection, connection.cursor() as cursor:
        for wrong in (
            "CREATE TOPIC counted AS SELECT carrier, count(*) AS n FROM flights GROUP BY carrier",
            "CREATE TABLE flights (id BIGINT)",
            "DROP TABLE no_such_table",
        ):
            with pytest.raises(adbc.Error):
                cursor.execute(wrong)


def test_a_result_that_is_fetched_twice_is_of_one_execution(flights_server):
    host, port = flights_server.grpc.rsplit(":", 1)
    client = FlightSQLClient(host, int(port), user="e2e", password="", insecure=True)
    client.do_get(client.execute("CREATE TABLE fetched (id BIGINT)").endpoints[0].ticket).read_all()
    info = client.execute("INSERT INTO fetched VALUES (1)")
    for _ in range(3):
        assert client.do_get(info.endpoints[0].ticket).read_all()["rows"].to_pylist() == [1]
    assert query(flights_server.url, "SELECT count(*) AS n FROM fetched") == [{"n": 1}]


class Inserter(threading.Thread):
    """Inserts ids one by one, each tried once; `returned` holds those whose execute returned."""

    def __init__(self, insert, first: int):
        super().__init__(daemon=True)
        self.insert, self.first, self.returned = insert, first, []

    def run(self) -> None:
        for id in range(self.first, self.first + INSERTS):
            try:
                self.insert(id)
                self.returned.append(id)
            except Exception:  # the server was killed: whether this id is there is not known
                time.sleep(0.02)


def adbc_insert(url):
    state = {}

    def insert(id):
        try:
            connection = state.get("connection") or adbc.connect(url, autocommit=True)
            state["connection"] = connection
            cursor = connection.cursor()
            cursor.execute(f"INSERT INTO inserted VALUES ({id})")
            cursor.close()
        except Exception:
            state.clear()
            raise

    return insert


def flightsql_insert(grpc):
    host, port = grpc.rsplit(":", 1)
    state = {}

    def insert(id):
        try:
            client = state.get("client") or FlightSQLClient(host, int(port), user="e2e", password="", insecure=True)
            state["client"] = client
            client.execute(f"INSERT INTO inserted VALUES ({id})")
        except Exception:
            state.clear()
            raise

    return insert


def jdbc_inserts(grpc, first):
    cache = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream"))
    return subprocess.Popen(
        ["java", "--add-opens=java.base/java.nio=ALL-UNNAMED", "-cp", str(cache / "jdbc/driver.jar"),
         str(ROOT / "tests/e2e/jdbc/JdbcInserts.java"), grpc, str(first), str(INSERTS)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )


def test_every_insert_that_returned_is_there_once(serve):
    seed = int(os.environ.get("MILLSTREAM_SEED", random.randrange(2**32)))
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = serve()
    query(server.url, "CREATE TABLE inserted (id BIGINT NOT NULL)")
    grpc = server.grpc
    threads = [Inserter(adbc_insert(server.url), 0), Inserter(flightsql_insert(grpc), INSERTS)]
    jdbc = jdbc_inserts(grpc, 2 * INSERTS)
    for thread in threads:
        thread.start()
    # JDBC's machine is slow to start, and must have something to be killed under.
    from_jdbc = [int(jdbc.stdout.readline())]
    for _ in range(KILLS):
        deadline = time.monotonic() + chance.uniform(0.1, 0.5)
        while time.monotonic() < deadline:
            time.sleep(0.01)
        server.kill()
        server.start(grpc=grpc)
    for thread in threads:
        thread.join(300)
        assert not thread.is_alive()
    from_jdbc += [int(line) for line in jdbc.stdout]
    assert jdbc.wait(60) == 0
    found = [row["id"] for row in query(server.url, "SELECT id FROM inserted")]
    assert len(found) == len(set(found)), "an insert was executed twice"
    for name, returned in (("ADBC", threads[0].returned), ("flightsql", threads[1].returned), ("JDBC", from_jdbc)):
        assert len(returned) > INSERTS // 2, f"{name} made no progress"
        assert not set(returned) - set(found), f"{name}: an insert whose execute returned is lost"
