"""Rows of every type to DuckDB, polars and pandas and back: what returns is what went in."""

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from clients import consumer, make_table, numbers, sql, take
from millstream import InvalidInput, Producer, connect
from test_round_trips import COLUMNS, canonical, edges

#: Polars counts whole seconds in ms: what that does not hold comes to be another time there.
MOST_SECONDS = 2**63 // 1000


@pytest.fixture(scope="module")
def edges_server(flights_server):
    """The server with the table ``frame_edges``."""
    make_table(flights_server, "frame_edges", columns=", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()))
    with Producer("frame_edges", {"url": flights_server.url}) as producer:
        producer.append(edges())
    return flights_server


def duckdb_relation(rows):
    return duckdb.sql("FROM rows")


LIBRARIES = {
    "arrow": lambda rows: rows.to_arrow(),
    "arrow_reader": lambda rows: pa.RecordBatchReader.from_stream(rows),
    "as_it_is": lambda rows: rows,
    "duckdb": duckdb_relation,
    "duckdb_method": lambda rows: rows.to_duckdb(),
    "pandas": lambda rows: rows.to_pandas(types_mapper=pandas.ArrowDtype),
    "polars": polars.DataFrame,
    "polars_method": lambda rows: rows.to_polars(),
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("source", ["query", "poll"])
def test_every_type_returns(edges_server, library, source):
    table = f"frames_{source}_{library}"
    make_table(edges_server, table, columns=", ".join(f"{name} {kind}" for name, kind in COLUMNS.items()))
    if source == "query":
        with connect(edges_server.url) as connection:
            given = connection.query("SELECT * FROM frame_edges")
    else:
        with consumer(edges_server.url, table) as member:
            member.subscribe(["frame_edges"])
            given, = take(member, edges().num_rows)
    with Producer(table, {"url": edges_server.url}) as producer:
        producer.append(LIBRARIES[library](given))
    with connect(edges_server.url) as connection:
        found = canonical(connection.execute(f"SELECT * FROM {table}"))
    expected = canonical(edges())
    assert len(found) == len(expected)
    for row, should in zip(found, expected):
        if library.startswith("polars") and should["t_s"] != "None" and abs(int(should["t_s"])) > MOST_SECONDS:
            assert row.pop("t_s") != should.pop("t_s"), "polars has learned to count seconds"
        assert row == should


def test_pandas_as_it_comes_by_default(flights_server):
    """Without nulls in integers, which pandas has no place for by default."""
    make_table(flights_server, "plain_frames", columns="id BIGINT, name VARCHAR, at TIMESTAMP, share DOUBLE")
    frame = pandas.DataFrame(
        {"id": [2**62 + 1, 7], "name": ["a", None], "at": pandas.to_datetime(["2013-01-01 10:15", None]), "share": [0.1, 2.5]},
        index=["the index", "is left out"],
    )
    with Producer("plain_frames", {"url": flights_server.url}) as producer:
        producer.append(frame)
    with connect(flights_server.url) as connection:
        found = connection.query("SELECT * FROM plain_frames").to_pandas()
    assert found["id"].tolist() == frame["id"].tolist() and found["share"].tolist() == frame["share"].tolist()
    assert found["at"][0] == frame["at"].iloc[0] and pandas.isna(found["at"][1])
    assert found["name"][0] == "a" and pandas.isna(found["name"][1])


def test_producers_take_any_arrow_data(flights_server):
    make_table(flights_server, "any_arrow")

    class Stream:
        """Some library's."""

        def __arrow_c_stream__(self, requested_schema=None):
            return pa.Table.from_batches([numbers(0, 3), numbers(3, 3)]).__arrow_c_stream__(requested_schema)

    class Array:
        def __arrow_c_array__(self, requested_schema=None):
            return numbers(6, 2).__arrow_c_array__(requested_schema)

    reader = pa.RecordBatchReader.from_batches(numbers(0, 0).schema, [numbers(8, 1), numbers(9, 1)])
    relation = duckdb.sql("SELECT range AS id FROM range(10, 1000)")
    frame = polars.DataFrame({"id": range(1000, 1010)})
    with Producer("any_arrow", {"url": flights_server.url}) as producer:
        for rows in (Stream(), Array(), reader, relation, frame):
            producer.append(rows)
        for wrong in (polars.Series([1, 2]), pa.chunked_array([[1]]), 7, "text", object()):
            with pytest.raises(InvalidInput, match="type"):
                producer.append(wrong)
    assert sql(flights_server, "SELECT count(*) AS n, sum(CASE WHEN id = _offset THEN 1 ELSE 0 END) AS o FROM any_arrow") == [
        {"n": 1010, "o": 1010}
    ]


def test_a_batch_is_arrow_for_every_library(flights_server):
    make_table(flights_server, "batch_arrow")
    with Producer("batch_arrow", {"url": flights_server.url}) as producer:
        producer.append(numbers(0, 100))
    with consumer(flights_server.url, "batch_arrow") as member:
        member.subscribe(["batch_arrow"])
        batch, = take(member, 100)
        for _ in range(2):
            assert duckdb.sql("SELECT sum(id) FROM batch").fetchall() == [(4950,)]
            assert polars.DataFrame(batch)["id"].sum() == pa.table(batch)["id"].to_numpy().sum() == 4950
        member.commit(batch)
