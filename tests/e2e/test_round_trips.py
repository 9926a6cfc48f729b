"""Every type that tables hold, with its edges, through every writer, format and reader: what comes back is what went in."""

import csv
import datetime
import decimal
import io
import json
import math
import subprocess
import urllib.request

import adbc_driver_flightsql.dbapi as adbc
import duckdb
import pandas
import pyarrow as pa
import pytest
from conftest import BIN, Server

FLOATS = [0.1, -0.0, 1.7976931348623157e308, 5e-324, math.nan, math.inf, -math.inf, None]
TEXTS = ["", " a ", 'a,"b";\r\n\'c\'', "NULL", "\ufeffé😀", "007", "\\N", None]
BYTES = [b"", b"\x00", b"\xff\xfe", b"00ff", b"\\x00", b"AP8=", b",\n", None]


def integers(bits: int, signed: bool) -> list:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [low, high, 0, 1, None, high - 1, 7, 100]


def decimals(precision: int, scale: int) -> list:
    context = decimal.Context(prec=60)
    most = 10**precision - 1
    return [*(decimal.Decimal(value).scaleb(-scale, context) for value in (most, -most, 1, -1, 0)), None, None, None]


def edges() -> pa.Table:
    """Made here, so that no writer or reader of ours had a part in it."""
    times = integers(62, True)
    point = pa.struct([("x", pa.float64()), ("raw", pa.binary())])
    return pa.table({
        "id": pa.array(range(8), pa.int32()),
        "flag": pa.array([True, False, None, True, False, None, True, True]),
        **{f"i{bits}": pa.array(integers(bits, True), getattr(pa, f"int{bits}")()) for bits in (8, 16, 32, 64)},
        **{f"u{bits}": pa.array(integers(bits, False), getattr(pa, f"uint{bits}")()) for bits in (8, 16, 32, 64)},
        "f64": pa.array(FLOATS, pa.float64()),
        "f32": pa.array(FLOATS, pa.float64()).cast(pa.float32(), safe=False),
        "wide": pa.array(decimals(38, 10), pa.decimal128(38, 10)),
        "price": pa.array(decimals(9, 2), pa.decimal128(9, 2)),
        "whole": pa.array(decimals(5, 0), pa.decimal128(5, 0)),
        "day": pa.array(integers(32, True), pa.int32()).cast(pa.date32()),
        **{f"t_{unit}": pa.array(times, pa.int64()).cast(pa.timestamp(unit)) for unit in ("s", "ms", "us", "ns")},
        "utc": pa.array(times, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "name": pa.array(TEXTS),
        "raw": pa.array(BYTES, pa.binary()),
        "list": pa.array([[], [None], [""], ["a,b", None], None, ["x"], [], []], pa.list_(pa.string())),
        "lists": pa.array([[[1]], [None, []], [], None, [[2, None]], [], [], []], pa.list_(pa.list_(pa.int64()))),
        "point": pa.array([None if f is None else {"x": f, "raw": b} for f, b in zip(FLOATS, BYTES)], point),
        "tags": pa.array([[("", None), ("k", -(2**63))], [], None, [("a", 1)], [], [], [], []], pa.map_(pa.string(), pa.int64())),
    })


def canonical(table: pa.Table) -> list:
    """Rows that compare: every time as its number, every float by its shortest form."""
    table = table.combine_chunks()
    columns = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.int64())
        elif pa.types.is_date(column.type):
            column = column.cast(pa.int32())
        columns[name] = [repr(value) for value in column.to_pylist()]
    rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
    return sorted(rows, key=lambda row: int(row["id"]))


COLUMNS = {
    "id": "INT", "flag": "BOOLEAN", "i8": "TINYINT", "i16": "SMALLINT", "i32": "INT", "i64": "BIGINT",
    "u8": "TINYINT UNSIGNED", "u16": "SMALLINT UNSIGNED", "u32": "INT UNSIGNED", "u64": "BIGINT UNSIGNED",
    "f64": "DOUBLE", "f32": "REAL", "wide": "DECIMAL(38, 10)", "price": "DECIMAL(9, 2)", "whole": "DECIMAL(5, 0)",
    "day": "DATE", "t_s": "TIMESTAMP(0)", "t_ms": "TIMESTAMP(3)", "t_us": "TIMESTAMP(6)", "t_ns": "TIMESTAMP(9)",
    "utc": "TIMESTAMP(6) WITH TIME ZONE", "name": "VARCHAR", "raw": "BYTEA", "list": "ARRAY<VARCHAR>",
    "lists": "ARRAY<ARRAY<BIGINT>>", "point": "STRUCT<x DOUBLE, raw BYTEA>", "tags": "MAP(VARCHAR, BIGINT)",
}


class Store:
    """A server with the edges in the table `edges`, and files that each writer made of it."""

    def __init__(self, server: Server, folder):
        self.server, self.folder, self.tables = server, folder, 0
        with adbc.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("edges", edges(), mode="create")

    def sql(self, statement: str, parameters=None) -> pa.Table:
        with adbc.connect(self.server.url, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetch_arrow_table()

    def empty(self) -> str:
        """A new table with the same columns."""
        self.tables += 1
        name = f"copy_{self.tables}"
        self.sql(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in COLUMNS.items())})")
        return name

    def check(self, table: str, what: str) -> None:
        expected, found = canonical(edges()), canonical(self.sql(f"SELECT * FROM {table}"))
        assert len(found) == len(expected), what
        for row, should in zip(found, expected):
            assert row == should, what

    def written(self, writer: str, ending: str):
        path = self.folder / f"{writer}.{ending}"
        if path.exists():
            return path
        if writer == "export":
            self.server.cli("export", "edges", str(path))
        elif writer == "copy":
            self.sql(f"COPY edges TO '{path}'")
        elif writer == "http":
            accept = "application/vnd.apache.arrow.stream" if ending == "arrow" else "application/x-ndjson"
            request = urllib.request.Request(f"http://{self.server.http}/v1/sql", b"SELECT * FROM edges", {"Accept": accept})
            path.write_bytes(urllib.request.urlopen(request).read())
        elif writer == "consume":
            form = {"jsonl": "json", "csv": "csv", "arrow": "arrow"}[ending]
            command = [BIN, "consume", "edges", "--group", f"g{ending}", "--from", "earliest", "--until-end", "--format", form]
            path.write_bytes(subprocess.run([*command, "--url", self.server.url], check=True, capture_output=True).stdout)
        return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("round_trips")
    server = Server(folder / "data", "--file-roots", str(folder))
    yield Store(server, folder)
    assert server.stop() == 0


WRITERS = [("export", ending) for ending in ("csv", "jsonl", "parquet", "arrow")]
WRITERS += [("copy", ending) for ending in ("csv", "jsonl", "parquet")]
WRITERS += [("http", ending) for ending in ("jsonl", "arrow")]
WRITERS += [("consume", ending) for ending in ("csv", "jsonl", "arrow")]


@pytest.mark.parametrize("writer, ending", WRITERS)
def test_every_reader_takes_what_every_writer_writes(store, writer, ending):
    path = store.written(writer, ending)
    table = store.empty()
    store.server.cli("import", table, str(path))
    store.check(table, f"{writer} {ending} import")
    if ending != "arrow":
        table = store.empty()
        store.sql(f"COPY {table} FROM '{path}'")
        store.check(table, f"{writer} {ending} COPY")
    if ending in ("csv", "jsonl"):
        table = store.empty()
        command = [BIN, "produce", table, "--input", "csv" if ending == "csv" else "json", "--url", store.server.url]
        subprocess.run(command, check=True, stdin=path.open("rb"), capture_output=True)
        store.check(table, f"{writer} {ending} produce")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_import_makes_the_same_table(store, ending):
    path = store.written("export", ending)
    store.server.cli("import", f"made_{ending}", str(path), "--create")
    store.check(f"made_{ending}", f"import --create {ending}")


def number(text):
    """A number's value, whatever its type writes behind the point; other text as it is."""
    try:
        return decimal.Decimal(text).normalize() if decimal.Decimal(text).is_finite() else text
    except decimal.InvalidOperation:
        return text


def held(value):
    """A value without members that hold nothing: a map that was read as a struct has its keys in every row."""
    if isinstance(value, dict):
        return {key: held(member) for key, member in value.items() if held(member) not in (None, {})}
    if isinstance(value, list):
        return [held(item) for item in value]
    return number(value) if isinstance(value, str) else value


def rows_of(text, ending):
    rows = csv.reader(io.StringIO(text)) if ending == "csv" else map(json.loads, text.splitlines())
    rows = [[number(cell) for cell in row] if ending == "csv" else held(row) for row in rows]
    return sorted(map(repr, rows))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_import_makes_tables_that_lose_nothing(store, ending):
    """Text does not say every type: what is inferred must hold the same values."""
    path = store.written("export", ending)
    store.server.cli("import", f"made_{ending}", str(path), "--create")
    again = store.folder / f"again.{ending}"
    store.server.cli("export", f"made_{ending}", str(again))
    assert rows_of(again.read_text(), ending) == rows_of(path.read_text(), ending)


def test_parameters(store):
    table = store.empty()
    rows = edges()
    with adbc.connect(store.server.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * rows.num_columns)})", rows.combine_chunks().to_batches()[0])
    store.check(table, "parameters")


def test_parameters_of_http(store):
    table = store.empty()
    for line in store.written("http", "jsonl").read_text().splitlines():
        # The row's own text, so that no JSON library changes a digit.
        parameters = members(line)
        marks = ", ".join(f"${index + 1}" for index in range(len(parameters)))
        body = '{"sql": "INSERT INTO %s VALUES (%s)", "parameters": [%s]}' % (table, marks, ", ".join(parameters))
        request = urllib.request.Request(f"http://{store.server.http}/v1/sql", body.encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request).read()
    store.check(table, "parameters of HTTP")


def members(line: str) -> list[str]:
    """The texts of an object's values, in order."""
    values, depth, quoted, start, escaped = [], 0, False, 0, False
    for at, character in enumerate(line):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
        elif character == ":" and depth == 1:
            start = at + 1
        elif character in "}],":
            if depth == 1 and character in "},":
                values.append(line[start:at])
            depth -= character in "}]"
    return values


def test_what_does_not_fit_is_refused(store):
    store.sql("CREATE TABLE narrow (n INT, at TIMESTAMP)")
    with adbc.connect(store.server.url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement, value in (("INSERT INTO narrow (n) VALUES (?)", 2**40), ("INSERT INTO narrow (at) VALUES (?)", "yesterday")):
            with pytest.raises(adbc.Error, match=str(value)):
                cursor.executemany(statement, [(value,)])
    assert store.sql("SELECT count(*) AS n FROM narrow").to_pylist() == [{"n": 0}]
    for name, text in (("a.jsonl", '{"n": 1.5}\n'), ("b.jsonl", '{"m": 1}\n'), ("c.csv", "n\n1.5\n")):
        path = store.folder / name
        path.write_text(text)
        assert store.server.cli("import", "narrow", str(path), check=False).returncode == 1
        with pytest.raises(adbc.Error):
            store.sql(f"COPY narrow FROM '{path}'")
    assert store.sql("SELECT count(*) AS n FROM narrow").to_pylist() == [{"n": 0}]


def test_files_as_other_tools_write_them(store):
    """pandas, DuckDB, PostgreSQL, Excel, jq."""
    frame = pandas.DataFrame({
        "n": [1, 2], "x": [1.5, None], "word": ["", None], "at": pandas.to_datetime(["2013-01-01 10:00", "2013-01-02 10:00"], utc=True),
    })
    frame.to_csv(store.folder / "pandas.csv", index=False)
    frame.to_json(store.folder / "pandas.jsonl", orient="records", lines=True, date_format="iso")
    frame.to_json(store.folder / "pandas.json", orient="records", date_format="iso")
    duckdb.sql("SELECT * FROM frame").write_csv(str(store.folder / "duckdb.csv"))
    duckdb.sql("COPY (SELECT * FROM frame) TO '%s'" % (store.folder / "duckdb.jsonl"))
    for codec in ("snappy", "gzip", "zstd", "lz4", "brotli"):
        frame.to_parquet(store.folder / f"{codec}.parquet", compression=codec)
    (store.folder / "postgres.csv").write_text('n,x,word,at\n1,1.5,"",2013-01-01 10:00:00+00\n2,,,2013-01-02 10:00:00+00\n')
    (store.folder / "excel.csv").write_bytes("\ufeffn;x;word;at\r\n1;1.5;;2013-01-01 10:00\r\n2;;;2013-01-02 10:00\r\n".encode())
    (store.folder / "jq.json").write_text('{\n  "n": 1,\n  "x": 1.5,\n  "at": "2013-01-01T10:00:00Z"\n}\n{\n  "n": 2,\n  "at": "2013-01-02T10:00:00Z"\n}\n')
    expected = [
        {"n": 1, "x": 1.5, "at": datetime.datetime(2013, 1, 1, 10, tzinfo=datetime.timezone.utc)},
        {"n": 2, "x": None, "at": datetime.datetime(2013, 1, 2, 10, tzinfo=datetime.timezone.utc)},
    ]
    names = ["pandas.csv", "pandas.jsonl", "pandas.json", "duckdb.csv", "duckdb.jsonl", "postgres.csv", "excel.csv", "jq.json"]
    names += [f"{codec}.parquet" for codec in ("snappy", "gzip", "zstd", "lz4", "brotli")]
    for index, name in enumerate(names):
        store.sql(f"CREATE TABLE tool_{index} (n BIGINT, x DOUBLE, word VARCHAR, at TIMESTAMP WITH TIME ZONE)")
        store.server.cli("import", f"tool_{index}", str(store.folder / name), *(["--delimiter", ";"] if name == "excel.csv" else []))
        assert store.sql(f"SELECT n, x, at FROM tool_{index} ORDER BY n").to_pylist() == expected, name
    assert store.sql("SELECT word FROM tool_5 ORDER BY n")["word"].to_pylist() == ["", None]
