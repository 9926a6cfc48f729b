"""ADBC's Flight SQL driver, as Python users have it from PyPI."""

import adbc_driver_flightsql.dbapi as adbc
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import FLIGHTS


@pytest.fixture
def connection(flights_server):
    with adbc.connect(flights_server.url, autocommit=True) as connection:
        yield connection


def query(connection, sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetch_arrow_table()


def test_answers_equal_those_of_the_source_file(connection):
    source = pq.read_table(FLIGHTS)
    late = source.filter(pa.compute.greater(source["dep_delay"], 60))
    found = query(connection, "SELECT count(*) AS n, sum(distance) AS miles FROM flights WHERE dep_delay > 60")
    assert found.to_pylist() == [{"n": late.num_rows, "miles": pa.compute.sum(late["distance"]).as_py()}]


def test_whole_table_comes_through_unchanged(connection):
    found = query(connection, "SELECT * FROM flights")
    source = pq.read_table(FLIGHTS)
    order = [(name, "ascending") for name in ("ts", "carrier", "flight", "origin", "dest")]
    assert found.num_rows == source.num_rows
    assert found.column_names == source.column_names
    assert found.sort_by(order).to_pydict() == source.sort_by(order).to_pydict()


def test_parameters_are_bound(connection):
    for carrier in ("UA", "AA", "no such"):
        expected = query(connection, f"SELECT count(*) AS n FROM flights WHERE carrier = '{carrier}'").to_pylist()
        assert query(connection, "SELECT count(*) AS n FROM flights WHERE carrier = ?", (carrier,)).to_pylist() == expected


def test_ingest_creates_and_appends(connection):
    rows = pa.table({"id": pa.array(range(10_000), pa.int64()), "name": [f"n{i}" for i in range(10_000)]})
    with connection.cursor() as cursor:
        assert cursor.adbc_ingest("ingested", rows, mode="create") == 10_000
        assert cursor.adbc_ingest("ingested", rows, mode="append") == 10_000
    assert query(connection, "SELECT count(*) AS n, sum(id) AS s FROM ingested").to_pylist() == [
        {"n": 20_000, "s": 2 * sum(range(10_000))}
    ]
    with connection.cursor() as cursor, pytest.raises(adbc.Error, match="already exists"):
        cursor.adbc_ingest("ingested", rows, mode="create")


def test_listings(connection):
    tables = connection.adbc_get_objects(depth="all", table_name_filter="flights").read_all().to_pylist()
    schemas = tables[0]["catalog_db_schemas"]
    assert tables[0]["catalog_name"] == "millstream"
    names = {t["table_name"]: [c["column_name"] for c in t["table_columns"]] for s in schemas for t in s["db_schema_tables"] or []}
    assert names["flights"] == pq.read_schema(FLIGHTS).names
    assert connection.adbc_get_table_schema("flights").names == pq.read_schema(FLIGHTS).names
    assert "Millstream" in connection.adbc_get_info()["vendor_name"]


def test_transactions_are_refused(flights_server):
    with pytest.raises(adbc.Error):
        with adbc.connect(flights_server.url) as connection:  # autocommit off asks for a transaction
            connection.adbc_connection.set_autocommit(False)


def test_errors_are_clear_and_the_connection_goes_on(connection):
    with pytest.raises(adbc.Error, match="no_such"):
        query(connection, "SELECT * FROM no_such")
    with pytest.raises(adbc.Error):
        query(connection, "SELEC 1")
    assert query(connection, "SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_consumes_in_plain_sql(connection):
    query(connection, "CREATE TABLE sqlpoll (id BIGINT NOT NULL)")
    query(connection, "INSERT INTO sqlpoll VALUES (1), (2), (3)")
    joined = query(connection, "SELECT * FROM poll('sqlpoll', 'sqlg', 1, 0, client_id => 'c')")
    assert joined.num_rows == 0, "a new group begins at the end"
    query(connection, "ALTER CONSUMER GROUP sqlg SET OFFSET TO EARLIEST ON sqlpoll")
    first = query(connection, "SELECT * FROM poll('sqlpoll', 'sqlg', 2, 2000, client_id => 'c')")
    second = query(connection, "SELECT * FROM poll('sqlpoll', 'sqlg', 2, 2000, client_id => 'c')")
    assert first["id"].to_pylist() + second["id"].to_pylist() == [1, 2, 3]
    query(connection, "COMMIT OFFSETS ON sqlpoll FOR GROUP sqlg CLIENT c")
    lag = query(connection, "SELECT committed_offset FROM system.offsets WHERE group_id = 'sqlg'")
    assert lag["committed_offset"].to_pylist() == [3]


def test_polars_reads_and_writes(flights_server):
    with adbc.connect(flights_server.url, autocommit=True) as connection:
        frame = pl.read_database("SELECT carrier, dep_delay FROM flights WHERE dep_delay > 60", connection)
    expected = pl.read_parquet(FLIGHTS).filter(pl.col("dep_delay") > 60).select("carrier", "dep_delay")
    assert frame.sort("carrier", "dep_delay").equals(expected.sort("carrier", "dep_delay"))
    with adbc.connect(flights_server.url, autocommit=True) as connection:
        frame.write_database("from_polars", connection, engine="adbc", if_table_exists="append")
        assert query(connection, "SELECT count(*) AS n FROM from_polars").to_pylist() == [{"n": frame.height}]
