"""Millstream and DuckDB give the same values: random expressions, as queries and as topics, over log and segments."""

from __future__ import annotations

import datetime as dt
import math
import os
import time
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from conftest import Server, eventually, seeded
from differential import Expr, Generator
from millstream import Producer, connect

# The same expressions in every run of the tests, others with SEED=n: a difference that chance finds is mended, or explained, by
# whoever looks for it.
SEED = 20
EXPRESSIONS = int(os.environ.get("EXPRESSIONS", 10_000))
PER_STATEMENT = 100
WAYS = ("query over log", "topic over log", "query over segments", "topic over segments")

COLUMNS = (
    ("id", "INT", pa.int32()), ("g", "INT", pa.int32()), ("i8", "TINYINT", pa.int8()), ("i16", "SMALLINT", pa.int16()),
    ("i32", "INT", pa.int32()), ("i64", "BIGINT", pa.int64()), ("f32", "REAL", pa.float32()),
    ("f64", "DOUBLE", pa.float64()), ("d", "DECIMAL(18, 3)", pa.decimal128(18, 3)),
    ("e", "DECIMAL(9, 2)", pa.decimal128(9, 2)), ("b", "BOOLEAN", pa.bool_()), ("s", "VARCHAR", pa.string()),
    ("dt", "DATE", pa.date32()), ("ts", "TIMESTAMP", pa.timestamp("us")),
)


def chance():
    return seeded(SEED)


def rows() -> pa.Table:
    """Edge values, in columns of different lengths so that they meet in many ways."""
    nan, when = float("nan"), dt.datetime
    values = {
        "i8": [None, 0, 1, -1, 7, 100, -100], "i16": [0, None, 1, -2, 300, -300], "i32": [5, 0, None, -7, 70_000],
        "i64": [0, 1, -1, None, 3_000_000_000, -3_000_000_000, 12, 10],
        "f32": [0.5, None, -1.5, 2.0, 16777216.0],
        "f64": [0.0, -0.0, 1.5, None, nan, -nan, float("inf"), -2.5, 2.5, 1e15, 0.1],
        "d": [Decimal(v) if v else None for v in ("8.200", "0.000", "", "-0.005", "123456789012.345", "0.100")],
        "e": [Decimal(v) if v else None for v in ("8.20", "", "-1.25", "0.01", "99999.99")],
        "b": [True, False, None],
        "s": ["a", "", None, "50%", "x_y", "Grün", " Ab ", "b"],
        "dt": [dt.date(1970, 1, 1), dt.date(1969, 12, 31), None, dt.date(2024, 2, 29), dt.date(1900, 3, 1)],
        "ts": [when(1969, 12, 31, 23, 59, 59, 100_000), when(2024, 3, 31, 2, 30), when(2024, 10, 27, 2, 30), None,
               when(2013, 1, 1, 0, 0, 0, 1), when(1900, 3, 1), when(2024, 2, 29, 12, 34, 56, 789_000)],
    }
    count = 24
    arrays = {"id": range(count), "g": [row % 4 for row in range(count)]}
    arrays |= {name: [column[row % len(column)] for row in range(count)] for name, column in values.items()}
    return pa.table({name: pa.array(list(arrays[name]), data_type) for name, _, data_type in COLUMNS})


def plain(value):
    """A value in the form that both sides are compared in."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return value


def equal(ours, theirs) -> bool:
    ours, theirs = plain(ours), plain(theirs)
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, float) or isinstance(theirs, float):
        if ours is None or theirs is None:
            return ours is theirs
        ours, theirs = float(ours), float(theirs)
        return math.isnan(ours) and math.isnan(theirs) or ours == theirs or math.isclose(ours, theirs, rel_tol=1e-12)
    return ours == theirs


class Sides:
    """Both databases with the same rows; theirs is asked once for each expression, ours in one way after another."""

    def __init__(self, servers: dict[str, Server], connections: dict):
        self.connections, self.duck = connections, duckdb.connect()
        table = rows()
        self.duck.register("rows", table)
        columns = ", ".join(f"{name} {sql}" for name, sql, _ in COLUMNS)
        self.duck.execute(f"CREATE TABLE v ({columns})")
        self.duck.execute("INSERT INTO v SELECT * FROM rows")
        self.duck.execute("SET TimeZone = 'UTC'")
        # It computes what occurs twice, as in nullif, before the conditions that it stands under.
        self.duck.execute("SET disabled_optimizers = 'common_subexpressions'")
        for place, connection in connections.items():
            connection.execute(f"CREATE TABLE v ({columns})")
            with Producer("v", {"url": servers[place].url}) as producer:
                producer.append(table)
        eventually(self.is_cut, what="a segment")
        self.topics = 0

    def is_cut(self) -> bool:
        found = self.connections["segments"].execute("SELECT count(*) AS n FROM system.segments")
        return found.to_pylist()[0]["n"] > 0

    def ours(self, expressions: list[Expr], way: str, select: str = "{}", tail: str = "") -> list[list]:
        columns = ", ".join(f"{select.format(expr.ours)} AS c{n}" for n, expr in enumerate(expressions))
        kind, place = way.split(" over ")
        connection = self.connections[place]
        if kind == "topic":
            self.topics += 1
            topic = f"t{self.topics}"
            connection.execute(f"CREATE TOPIC {topic} AS SELECT id, {columns} FROM v")
            try:
                answer = connection.execute(f"SELECT * FROM {topic} ORDER BY id")
            finally:
                connection.execute(f"DROP TOPIC {topic}")
        else:
            answer = connection.execute(f"SELECT {columns} FROM v {tail or 'ORDER BY id'}")
        return [answer.column(f"c{n}").to_pylist() for n in range(len(expressions))]

    def theirs(self, expressions: list[Expr], select: str = "{}", tail: str = "") -> list[list]:
        columns = ", ".join(f"{select.format(expr.theirs)} AS c{n}" for n, expr in enumerate(expressions))
        answer = self.duck.execute(f"SELECT {columns} FROM v {tail or 'ORDER BY id'}").fetchall()
        return [[row[n] for row in answer] for n in range(len(expressions))]

    def answers(self, ask, expressions: list[Expr]) -> list:
        """For each expression its column, or its error: statements that fail are halved."""
        try:
            return ask(expressions)
        except Exception as error:  # noqa: BLE001 - both raise classes of their own
            if len(expressions) == 1:
                return [error]
        half = len(expressions) // 2
        return self.answers(ask, expressions[:half]) + self.answers(ask, expressions[half:])

    def differences(self, expressions: list[Expr], way: str, select: str = "{}", tail: str = "") -> list[str]:
        theirs = self.answers(lambda some: self.theirs(some, select, tail), expressions)
        # What fails there has to fail here: it is asked for by itself, so that the others go in one statement.
        failing = [number for number, answer in enumerate(theirs) if isinstance(answer, Exception)]
        others = [number for number in range(len(expressions)) if number not in failing]
        ours = dict(zip(others, self.answers(lambda some: self.ours(some, way, select, tail), [expressions[n] for n in others])))
        for number in failing:
            ours |= {number: self.answers(lambda some: self.ours(some, way, select, tail), [expressions[number]])[0]}
        return [
            f"{way}: {select.format(expr.ours)}\n  ours   {mine!r:.300}\n  theirs {yours!r:.300}\n  ({expr.theirs})"
            for expr, mine, yours in zip(expressions, (ours[n] for n in range(len(expressions))), theirs)
            if not self.agree(mine, yours) and not is_explained(expr.ours, mine, yours)
        ]

    def compare(self, query: str, *expressions: Expr) -> list[str]:
        """A whole query: the differences between each place of ours and theirs."""
        ours, theirs = (query.format(*(getattr(expr, side) for expr in expressions)) for side in ("ours", "theirs"))
        yours = outcome(lambda: [list(row) for row in self.duck.execute(theirs).fetchall()])
        found = []
        for place, connection in self.connections.items():
            mine = outcome(lambda: [list(row.values()) for row in connection.execute(ours).to_pylist()])
            if not self.agree(flat(mine), flat(yours)):
                found.append(f"over {place}: {ours}\n  ours   {mine!r:.300}\n  theirs {yours!r:.300}\n  ({theirs})")
        return found

    @staticmethod
    def agree(mine, yours) -> bool:
        if sum_is_too_large(mine, yours):
            return True
        if isinstance(mine, Exception) or isinstance(yours, Exception):
            return isinstance(mine, Exception) and isinstance(yours, Exception)
        return len(mine) == len(yours) and all(map(equal, mine, yours))


def sum_is_too_large(mine, yours) -> bool:
    """Sums of BIGINT are BIGINT here, or an error, and have a wider type there."""
    if not isinstance(mine, Exception) or isinstance(yours, Exception) or "the sum " not in str(mine):
        return False
    return any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in yours)


def is_explained(expression: str, mine, yours) -> bool:
    """What fails, and need not be computed: SQL leaves open whether it is."""
    mine_fails, yours_fails = isinstance(mine, Exception), isinstance(yours, Exception)
    if mine_fails and not yours_fails and "nullif(" in expression:
        # A nullif of a constant NULL is NULL there before what stands beside it is computed.
        return all(value is None for value in yours)
    # What is false for most rows of a batch decides an AND here, and there both sides are computed of every row.
    return yours_fails and not mine_fails and "zero" in str(yours) and (" AND " in expression or " OR " in expression)


def outcome(ask):
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - both raise classes of their own
        return error


def flat(answer):
    return answer if isinstance(answer, Exception) else [value for row in answer for value in row]


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    options = {"log": ("--segment-age-ms", "3600000"), "segments": ("--segment-age-ms", "100", "--tail-bytes", "0")}
    servers = {place: Server(tmp_path_factory.mktemp(place) / "data", *some) for place, some in options.items()}
    with connect(servers["log"].url) as log, connect(servers["segments"].url) as segments:
        yield Sides(servers, {"log": log, "segments": segments})
    assert [server.stop() for server in servers.values()] == [0, 0]


def test_expressions(sides):
    generator, found, began = Generator(chance()), [], time.monotonic()
    for number in range(0, EXPRESSIONS, PER_STATEMENT):
        expressions = [generator.expression() for _ in range(PER_STATEMENT)]
        found += sides.differences(expressions, WAYS[number // PER_STATEMENT % len(WAYS)])
        if len(found) >= 20:
            break
    print(f"{EXPRESSIONS} expressions in {time.monotonic() - began:.0f} s")
    assert not found, f"{len(found)} differences:\n" + "\n".join(found)


@pytest.mark.parametrize("aggregate", ["sum", "min", "max", "count", "count(DISTINCT", "avg"])
def test_aggregates(sides, aggregate):
    generator, found = Generator(chance()), []
    select = f"{aggregate} {{}})" if "(" in aggregate else f"{aggregate}({{}})"
    for way in ("query over log", "query over segments"):
        kinds = (generator.integer, generator.decimal, generator.double)
        if aggregate not in ("sum", "avg"):
            kinds += (generator.text, generator.date, generator.time)
        expressions = [generator.random.choice(kinds)(2) for _ in range(40)]
        found += sides.differences(expressions, way, select, "GROUP BY g ORDER BY g")
    assert not found, "\n".join(found)


def test_groups(sides):
    """What is one value is one group, and what is not is not."""
    generator, found = Generator(chance()), []
    for _ in range(60):
        query = "SELECT k, count(*) AS n FROM (SELECT {0} AS k FROM v) AS e GROUP BY k ORDER BY k NULLS LAST, n"
        found += sides.compare(query, generator.expression(2))
    assert not found, "\n".join(found)


def test_conditions_and_joins(sides):
    generator, found = Generator(chance()), []
    for _ in range(40):
        found += sides.compare("SELECT id FROM v WHERE {0} ORDER BY id", generator.boolean(3))
        one, other = generator.pair(1)
        query = (
            "SELECT l.id AS a, r.id AS b FROM (SELECT id, {0} AS k FROM v) AS l JOIN (SELECT id, {1} AS k FROM v) AS r "
            "ON l.k = r.k ORDER BY a, b"
        )
        found += sides.compare(query, one, other)
        found += sides.compare("SELECT id FROM v WHERE {0} IN (SELECT {1} FROM v) ORDER BY id", one, other)
    assert not found, "\n".join(found)


def test_unions(sides):
    generator, found = Generator(chance()), []
    for _ in range(40):
        for word in ("UNION", "UNION ALL"):
            query = f"SELECT x FROM (SELECT {{0}} AS x FROM v {word} SELECT {{1}} FROM v) AS u ORDER BY x NULLS LAST"
            found += sides.compare(query, *generator.pair(2))
    assert not found, "\n".join(found)
