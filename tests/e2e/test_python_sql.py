"""SQL by the Python client: answers in any library's form, parameters, namespaces, limits of time, errors by their kinds."""

import datetime
import decimal
import time

import duckdb
import millstream
import polars
import pyarrow as pa
import pytest
from clients import make_table, sql
from conftest import eventually
from millstream import errors
from millstream import connect


@pytest.fixture
def connection(flights_server):
    with connect(flights_server.url) as connection:
        yield connection


def test_an_answer_is_arrow_for_every_library(connection):
    answer = connection.query("SELECT carrier, count(*) AS n FROM flights GROUP BY carrier ORDER BY n DESC, carrier")
    rows = answer.to_pylist()
    assert len(answer) == len(rows) == 16 and list(answer) == rows and answer.column_names == ["carrier", "n"]
    assert rows[0] == {"carrier": "UA", "n": 58665} and "carrier: string, n: int64" in repr(answer)
    assert answer.to_arrow().to_pylist() == pa.table(answer).to_pylist() == rows
    assert answer.to_pandas().to_dict("records") == rows
    assert answer.to_polars().to_dicts() == polars.DataFrame(answer).to_dicts() == rows
    for relation in (answer.to_duckdb(), duckdb.sql("FROM answer"), duckdb.sql("FROM answer")):
        assert relation.fetchall() == [tuple(row.values()) for row in rows]
    assert pa.schema(answer) == answer.schema


def test_what_gives_no_rows_tells_what_it_has_done(connection):
    assert connection.query("CREATE TABLE told (a INT)").to_pylist()[0]["rows"] == 0
    assert connection.query("INSERT INTO told VALUES (1), (2)").to_pylist()[0]["rows"] == 2


def test_parameters_of_every_kind(connection):
    values = {
        "BOOLEAN": True, "INT": -7, "BIGINT": 2**63 - 1, "BIGINT UNSIGNED": 2**64 - 1, "DOUBLE": 0.1, "VARCHAR": "it's ; --", "BYTEA": b"\0\xff",
        "DECIMAL(38, 2)": decimal.Decimal("12345678901234567890.12"), "DATE": datetime.date(2013, 1, 1),
        "TIMESTAMP": datetime.datetime(2013, 1, 1, 10, 15, 0, 7), "ARRAY<BIGINT>": [1, None, 3],
        "STRUCT<x BIGINT, y VARCHAR>": {"x": 1, "y": "z"},
        "TIMESTAMP WITH TIME ZONE": datetime.datetime(2013, 1, 1, tzinfo=datetime.timezone.utc),
    }
    columns = ", ".join(f"c{place} {kind}" for place, kind in enumerate(values))
    connection.query(f"CREATE TABLE kinds (id INT, {columns})")
    places = ", ".join(f"${place}" for place in range(1, len(values) + 2))
    assert connection.query(f"INSERT INTO kinds VALUES ({places})", [0, *values.values()]).to_pylist()[0]["rows"] == 1
    connection.query(f"INSERT INTO kinds VALUES ({places})", [1] + [None] * len(values))
    found = connection.query("SELECT * FROM kinds WHERE id = ? OR id = ? ORDER BY id", (0, 1)).to_pylist()
    assert list(found[0].values())[1:] == list(values.values())
    assert set(list(found[1].values())[1:]) == {None}
    assert connection.query("SELECT count(*) AS n FROM kinds WHERE c5 = $1 AND c1 < $2", ["it's ; --", 0]).to_pylist() == [{"n": 1}]


def test_rows_of_parameters(connection):
    connection.query("CREATE TABLE many (a BIGINT, b VARCHAR)")
    insert = "INSERT INTO many VALUES ($1, $2)"
    rows = [(n, f"n{n}" if n % 3 else None) for n in range(1000)]
    for given in (rows, polars.DataFrame(rows, schema=["x", "y"], orient="row"), pa.table({"a": [r[0] for r in rows], "b": [r[1] for r in rows]})):
        assert connection.executemany(insert, given).to_pylist()[0]["rows"] == 1000
    assert connection.query("SELECT count(*) AS n, count(b) AS b, sum(a) AS s FROM many").to_pylist() == [
        {"n": 3000, "b": 3 * 666, "s": 3 * 499_500}
    ]
    for wrong, word in (([(1, "x"), (2,)], "row 1 has 1"), (["ab"], "row 0 of the parameters"), ([(1, 2, 3)], "3 are given")):
        with pytest.raises(errors.InvalidInput, match=word):
            connection.executemany(insert, wrong)
    for wrong, word in ((["x"], "2 parameters, 1 are given"), ("ab", "of type str"), ({"a": 1}, "of type dict"), (["x", "y"], "x")):
        with pytest.raises(errors.InvalidInput, match=word):
            connection.query(insert, wrong)


def test_a_connection_has_a_namespace(flights_server):
    with connect(flights_server.url) as everywhere:
        everywhere.query("CREATE SCHEMA elsewhere")
    for log_in in ({}, {"user": "somebody"}):
        with connect(flights_server.url, namespace="elsewhere", **log_in) as connection:
            table = f"here{len(log_in)}"
            connection.query(f"CREATE TABLE {table} (a INT)")
            assert sql(flights_server, f"SELECT namespace FROM system.tables WHERE name = '{table}'") == [{"namespace": "elsewhere"}]
            assert connection.query(f"SELECT count(*) AS n FROM {table} WHERE a = $1", [1]).to_pylist() == [{"n": 0}]
    with connect(flights_server.url, user="somebody") as session:
        session.query("USE elsewhere")
        assert len(session.query("SELECT * FROM here0")) == 0
    with pytest.raises(errors.InvalidInput, match="ASCII"):
        connect(flights_server.url, namespace="größe")


def test_answers_larger_than_memory_are_streamed(connection, flights_server):
    running = "SELECT count(*) AS n FROM generate_series(1, 10) AS g"
    with connection.stream("SELECT value FROM generate_series(1, 1000000000) AS g") as rows:
        assert rows.read_next_batch()["value"][0].as_py() == 1
    assert connection.query(running).to_pylist() == [{"n": 10}], "it was given up, and the connection goes on"
    rows = connection.stream("SELECT value FROM generate_series(1, 100000) AS g")
    assert duckdb.sql("SELECT sum(value) FROM rows").fetchall() == [(5_000_050_000,)]
    rows = connection.stream("SELECT carrier FROM flights WHERE distance > $1", [4000])
    assert sum(batch.num_rows for batch in rows) == connection.query("SELECT count(*) AS n FROM flights WHERE distance > 4000").to_pylist()[0]["n"]
    rows = connection.stream("SELECT 1 / (90000 - value) FROM generate_series(1, 100000) AS g")
    with pytest.raises(errors.InvalidInput, match="divide by zero"):
        for _ in rows:
            pass


@pytest.mark.parametrize("parameters", [None, [3]])
def test_statements_have_a_time_limit(flights_server, parameters):
    endless = "SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS g WHERE value > " + ("3" if parameters is None else "$1")
    with connect(flights_server.url) as connection:
        started = time.monotonic()
        with pytest.raises(errors.Timeout, match="0.5 s") as late:
            connection.query(endless, parameters, timeout_s=0.5)
        assert time.monotonic() - started < 60 and late.value.kind == "timeout" and isinstance(late.value, errors.Unavailable)
        assert connection.query("SELECT 1 AS one", timeout_s=60).to_pylist() == [{"one": 1}]


def test_each_kind_of_error_has_its_class(connection, flights_server):
    connection.query("CREATE TABLE once (a INT)")
    for statement, kind in (
        ("SELEC 1", errors.InvalidInput),
        ("SELECT 1 / 0", errors.InvalidInput),
        ("CREATE TABLE once (a INT)", errors.AlreadyExists),
        ("DROP TABLE never_made", errors.NotFound),
        ("DROP SCHEMA system", errors.Unsupported),
        ("USE public_not", errors.NotFound),
    ):
        with pytest.raises(errors.MillstreamError) as raised:
            connection.query(statement)
        assert type(raised.value) is kind, statement
        assert "Flight" not in str(raised.value) and "gRPC" not in str(raised.value), "the server's words alone"
    with pytest.raises(errors.ResourceExhausted):
        connection.query("SELECT 1 AS " + "x" * (2 << 20))
    with connect(flights_server.url, user="a", password="b") as stranger, pytest.raises(errors.Unauthenticated):
        stranger.query("SELECT 1")
    for log_in in ({}, {"user": "a"}):
        with connect("grpc://127.0.0.1:1", **log_in) as nowhere, pytest.raises(errors.Unavailable):
            nowhere.query("SELECT 1")
    with pytest.raises(errors.NotFound):
        with millstream.Producer("never_made", {"url": flights_server.url}) as producer:
            producer.append({"a": 1})
    member = millstream.Consumer({"url": flights_server.url, "group.id": "kinds"})
    with pytest.raises(errors.NotFound):
        member.subscribe(["never_made"])
    with pytest.raises(errors.FailedPrecondition):
        member.poll(0)
    member.close()


def test_kinds_come_from_codes_and_not_from_texts():
    misleading = "Flight returned not found error, with message: already exists"
    assert type(errors.from_arrow(pa.ArrowInvalid(misleading), "already_exists")) is errors.AlreadyExists
    assert type(errors.from_arrow(pa.ArrowInvalid(misleading))) is errors.InvalidInput
    assert type(errors.of_kind("retry", "x")) is errors.Busy and issubclass(errors.Busy, errors.Unavailable)
    assert type(errors.of_kind("of a later server", "x")) is errors.MillstreamError


def test_a_server_that_ends_tells_to_come_back(serve):
    server = serve()
    make_table(server, "ending")
    with connect(server.url) as connection, millstream.Consumer({"url": server.url, "group.id": "e"}) as member:
        member.subscribe(["ending"])
        server.stop()

        def unavailable():
            try:
                connection.query("SELECT 1")
            except errors.Unavailable:
                return True
            return False

        eventually(unavailable, what="an error of its class")
