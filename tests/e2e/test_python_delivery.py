"""The Python client loses nothing: rows of many shapes, bodies that raise, servers that stay away."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import adbc_driver_flightsql.dbapi as adbc
import pyarrow.flight as flight
import pytest
from clients import ids, make_table, numbers, sql, take
from conftest import ROOT, eventually
from millstream import Consumer, InvalidInput, MillstreamError, Producer, Unavailable, connect


def test_rows_whose_keys_differ_are_not_cut(flights_server):
    make_table(flights_server, "shapes", columns="a BIGINT, b BIGINT, c VARCHAR, big BIGINT UNSIGNED")
    with Producer("shapes", {"url": flights_server.url}) as producer:
        producer.append([{"a": 1}, {"a": 2, "b": 3}, {"c": "x"}, {"a": None}, {"big": 2**63}])
        producer.append({"b": 9})
        for rows, word in (
            ([{"a": 1}, {"a": 2, "nope": 3}], "nope"),
            ([{"a": 1}, {"a": "x"}], "'a': row 1"),
            ([{"a": 1}, 7], "row 1"),
            ([{}], "no keys"),
        ):
            with pytest.raises(InvalidInput, match=word):
                producer.append(rows)
        assert producer.send([]) == []
    found = sql(flights_server, "SELECT a, b, c, big FROM shapes ORDER BY _offset")
    assert [tuple(row.values()) for row in found] == [
        (1, None, None, None), (2, 3, None, None), (None, None, "x", None), (None, None, None, None),
        (None, None, None, 2**63), (None, 9, None, None),
    ]


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_commits_nothing_of_what_it_was_given(flights_server, raised):
    table = f"raising_{raised.__name__.lower()}"
    make_table(flights_server, table)
    with Producer(table, {"url": flights_server.url}) as producer:
        producer.append(numbers(0, 10))
    auto = {"url": flights_server.url, "group.id": table, "auto.offset.reset": "earliest"}
    for _ in range(2):
        with pytest.raises(raised):
            with Consumer(auto) as member:
                member.subscribe([table])
                assert ids(take(member, 10)) == list(range(10))
                raise raised
    with Consumer(auto) as member:
        member.subscribe([table])
        assert ids(take(member, 10)) == list(range(10)), "what was not processed comes again"
    with Consumer(auto) as member:
        member.subscribe([table])
        assert member.committed() == {(table, 0): 10}, "a block that ends commits"


def test_the_readmes_example_works_as_typed(flights_server):
    text = (ROOT / "README.md").read_text()
    block, = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "grpc://127.0.0.1:8081" in block
    with connect(flights_server.url) as connection:
        connection.execute("CREATE TOPIC late_departures AS SELECT ts, carrier, dep_delay FROM flights WHERE dep_delay > 60")
    # Only what `pip install ./clients/python` brings.
    without = textwrap.dedent("""
        import sys
        class NotInstalled:
            def find_spec(self, name, path=None, target=None):
                if name in ("pandas", "polars", "numpy"):
                    raise ModuleNotFoundError(f"No module named {name!r}")
        sys.meta_path.insert(0, NotInstalled())
    """)
    script = without + block.replace("grpc://127.0.0.1:8081", flights_server.url)
    environment = {"PYTHONPATH": str(ROOT / "clients/python/src"), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "dep_delay" in done.stdout
    committed = sql(flights_server, "SELECT max(committed_offset) AS o FROM system.offsets WHERE group_id = 'py'")
    assert committed[0]["o"] > 0
    again = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=120)
    assert again.returncode == 0 and again.stdout != done.stdout, again


PATIENT = {"reconnect.interval.ms": 20, "reconnect.max.interval.ms": 500}


@pytest.mark.parametrize("log_in", [{}, {"user": "somebody"}])
def test_a_producer_outlasts_a_server_that_is_away(serve, log_in):
    server = serve()
    make_table(server, "lasting")
    grpc = server.grpc
    with Producer("lasting", {"url": server.url, **PATIENT, **log_in}) as producer:
        producer.append(numbers(0, 10))
        server.kill()
        futures = [future for n in range(1, 20) for future in producer.send(numbers(n * 10, 10))]
        # Longer than twenty attempts of half a second.
        assert producer.flush(12) == 19
        server.start(grpc=grpc)
        assert producer.flush(120) == 0
        assert [future.result(0).appended[0].first_offset for future in futures] == list(range(10, 200, 10))
    assert sql(server, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM lasting") == [{"n": 200, "d": 200}]


def test_a_producer_gives_up_in_the_end(serve):
    server = serve()
    make_table(server, "ending")
    producer = Producer("ending", {"url": server.url, **PATIENT, "delivery.timeout.ms": 1500})
    producer.append(numbers(0, 10))
    server.kill()
    future, = producer.send(numbers(10, 10))
    with pytest.raises(Unavailable, match=r"delivery\.timeout\.ms"):
        future.result(60)
    with pytest.raises(Unavailable, match="not known"):
        producer.send(numbers(20, 10))
    producer.close()


def test_closing_takes_no_longer_than_it_is_given(serve):
    server = serve()
    make_table(server, "closing")
    producer = Producer("closing", {"url": server.url})
    producer.append(numbers(0, 10))
    server.kill()
    future, = producer.send(numbers(10, 10))
    with pytest.raises(Unavailable, match="closed while 1 batches"):
        producer.close(0.5)
    assert isinstance(future.exception(0), Unavailable)


def test_a_producer_gives_up_on_a_server_that_is_mute(serve):
    server = serve()
    make_table(server, "mute")
    # More than the wires hold: sending is held up too.
    batches = [numbers(n * 500_000, 500_000) for n in range(8)]
    producer = Producer("mute", {"url": server.url, **PATIENT, "delivery.timeout.ms": 1500})
    producer.append(numbers(0, 10))
    server.process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        futures = [future for batch in batches for future in producer.send(batch)]
        for future in futures:
            with pytest.raises(Unavailable, match=r"delivery\.timeout\.ms"):
                future.result(60)
        producer.close()
        assert time.monotonic() - started < 20, "before pings have found out"
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_a_consumer_outlasts_a_server_that_is_away(serve):
    server = serve()
    make_table(server, "waiting")
    grpc = server.grpc
    with Producer("waiting", {"url": server.url, **PATIENT}) as producer:
        producer.append(numbers(0, 10))
        settings = {"url": server.url, "group.id": "w", "auto.offset.reset": "earliest", "user": "somebody"}
        with Consumer(settings) as member:
            member.subscribe(["waiting"])
            assert ids(take(member, 10)) == list(range(10))
            server.kill()
            assert member.poll(12) is None, "it goes on trying"
            server.start(grpc=grpc)
            producer.append(numbers(10, 10))
            eventually(lambda: (batch := member.poll(5)) and ids([batch]) == list(range(10, 20)), what="the rows after")


def test_passwords_are_refused_where_nobody_checks_them(flights_server):
    with connect(flights_server.url, user="somebody") as connection:
        assert connection.execute("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    with pytest.raises(MillstreamError, match="empty password"):
        with connect(flights_server.url, user="somebody", password="secret") as connection:
            connection.execute("SELECT 1")

    class LogIn(flight.ClientAuthHandler):
        """Flight's older way."""

        def __init__(self, password):
            super().__init__()
            self.login, self.token = flight.BasicAuth("somebody", password), b""

        def authenticate(self, outgoing, incoming):
            outgoing.write(self.login.serialize())
            self.token = incoming.read()

        def get_token(self):
            return self.token

    client = flight.connect(flights_server.url.replace("grpc://", "grpc+tcp://"))
    with pytest.raises(flight.FlightUnauthenticatedError, match="empty password"):
        client.authenticate(LogIn("secret"))
    client.authenticate(LogIn(""))
    assert list(client.list_flights())


def test_only_tokens_that_were_given_out_are_taken(flights_server):
    client = flight.connect(flights_server.url.replace("grpc://", "grpc+tcp://"))
    for header in (b"Bearer invented", b"Bearer ", b"Digest x", b"Basic c29tZWJvZHk6c2VjcmV0"):
        options = flight.FlightCallOptions(headers=[(b"authorization", header)])
        with pytest.raises(flight.FlightUnauthenticatedError):
            list(client.list_flights(options=options))
    token = client.authenticate_basic_token("somebody", "")
    options = flight.FlightCallOptions(headers=[token])
    # Others with inventions of theirs take no place.
    for number in range(200):
        invented = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer %d" % number)])
        with pytest.raises(flight.FlightUnauthenticatedError):
            list(client.list_flights(options=invented))
    assert list(client.list_flights(options=options))


def test_drivers_log_in_without_a_password(flights_server):
    for login in ({"username": "somebody", "password": ""}, {"username": "somebody"}):
        with adbc.connect(flights_server.url, db_kwargs=login, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 AS one")
            assert cursor.fetchall() == [(1,)]
    with pytest.raises(adbc.Error, match="empty password"):
        adbc.connect(flights_server.url, db_kwargs={"username": "somebody", "password": "secret"}, autocommit=True)
