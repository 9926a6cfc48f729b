"""Random SQL expressions, each as Millstream writes it and as DuckDB does. What differs by intent is in docs/sql.md."""

from __future__ import annotations

import random
from dataclasses import dataclass

INTEGERS = ("i8", "i16", "i32", "i64")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")


@dataclass(frozen=True)
class Expr:
    """One expression in two dialects."""

    ours: str
    theirs: str

    @staticmethod
    def same(text: str) -> Expr:
        return Expr(text, text)

    @staticmethod
    def of(template: str, *parts: Expr, theirs: str | None = None) -> Expr:
        return Expr(
            template.format(*(part.ours for part in parts)),
            (theirs or template).format(*(part.theirs for part in parts)),
        )


class Generator:
    """Expressions of a wanted type over the columns of :data:`COLUMNS`."""

    def __init__(self, chance: random.Random):
        self.random = chance

    def pick(self, *makers):
        return self.random.choice(makers)()

    def expression(self, depth: int = 3) -> Expr:
        kinds = (self.integer, self.double, self.decimal, self.boolean, self.text, self.date, self.time)
        return self.random.choice(kinds)(depth)

    def pair(self, depth: int) -> tuple[Expr, Expr]:
        """Two of types that are brought together."""
        numbers = (self.integer, self.double, self.decimal)
        kinds = self.random.choice(((self.text,) * 2, (self.date, self.time), (self.time,) * 2, numbers, numbers))
        one, other = self.random.choice(kinds), self.random.choice(kinds)
        return one(depth), other(depth)

    def integer(self, depth: int) -> Expr:
        leaves = (
            lambda: Expr.same(self.random.choice(INTEGERS)),
            lambda: self.whole(self.random.choice((0, 1, -1, 2, 7, 10, 100, -33))),
        )
        if depth == 0:
            return self.pick(*leaves)
        sub = lambda: self.integer(depth - 1)  # noqa: E731
        return self.pick(
            *leaves,
            lambda: Expr.of(f"({{0}} {self.random.choice('+-*')} {{1}})", self.wide(sub()), sub()),
            lambda: self.quotient("/", "//", sub(), self.divisor(sub)),
            lambda: self.quotient("%", "%", sub(), self.divisor(sub)),
            lambda: Expr.of("(- {0})", self.wide(sub())),
            lambda: Expr.of("abs({0})", self.wide(sub())),
            lambda: self.rounded(self.double(depth - 1)),
            lambda: Expr.of(f"CAST({{0}} AS {self.often('BIGINT', 'INT')})", self.decimal(depth - 1)),
            lambda: Expr.of(f"CAST({{0}} AS {self.often('BIGINT', 'SMALLINT')})", sub()),
            lambda: self.chosen(depth, sub),
            lambda: Expr.of("character_length({0})", self.text(depth - 1), theirs="length({0})"),
            lambda: Expr.of(
                f"CAST(date_part('{self.random.choice(('year', 'month', 'day', 'hour', 'minute'))}', {{0}}) AS BIGINT)",
                self.time(depth - 1),
            ),
            lambda: Expr.of("({0} - {1})", self.date(0), self.date(0)),
        )

    def double(self, depth: int) -> Expr:
        leaves = (lambda: Expr.same("f64"), lambda: Expr.same(self.random.choice(("0.5e0", "-2.25e0", "1e3", "0e0"))))
        if depth == 0:
            return self.pick(*leaves)
        sub = lambda: self.double(depth - 1)  # noqa: E731
        return self.pick(
            *leaves,
            lambda: Expr.of(f"({{0}} {self.random.choice('+-*')} {{1}})", sub(), sub()),
            lambda: Expr.of("({0} + {1})", sub(), self.decimal(depth - 1)),
            lambda: Expr.of("({0} * {1})", self.integer(depth - 1), sub()),
            lambda: Expr.of("(- {0})", sub()),
            lambda: Expr.of("abs({0})", sub()),
            lambda: Expr.of("floor({0})", sub()),
            lambda: Expr.of("ceil({0})", sub()),
            lambda: Expr.of("CAST({0} AS DOUBLE)", self.decimal(depth - 1)),
            lambda: Expr.of("CAST({0} AS DOUBLE)", self.integer(depth - 1)),
            lambda: Expr.of("CAST(f32 AS DOUBLE)"),
            lambda: self.chosen(depth, sub),
            lambda: self.mixed(depth),
        )

    def decimal(self, depth: int) -> Expr:
        leaves = (
            lambda: Expr.same(self.random.choice(("d", "e"))),
            lambda: Expr.same(self.random.choice(("8.20", "0.1", "-3.005", "100.0", "0.30"))),
        )
        if depth == 0:
            return self.pick(*leaves)
        sub = lambda: self.decimal(depth - 1)  # noqa: E731
        return self.pick(
            *leaves,
            lambda: Expr.of(f"({{0}} {self.random.choice('+-')} {{1}})", sub(), sub()),
            lambda: Expr.of("(CAST({0} AS DECIMAL(19, 3)) * {1})", self.decimal(0), self.decimal(0)),
            lambda: Expr.of("(- {0})", sub()),
            lambda: Expr.of("CAST({0} AS DECIMAL(20, 2))", sub()),
            lambda: Expr.of("CAST({0} AS DECIMAL(22, 3))", self.integer(depth - 1)),
            lambda: self.chosen(depth, sub),
        )

    def boolean(self, depth: int) -> Expr:
        leaves = (lambda: Expr.same("b"), lambda: Expr.same(self.random.choice(("true", "false"))))
        if depth == 0:
            return self.pick(*leaves)
        sub = lambda: self.boolean(depth - 1)  # noqa: E731
        kind = self.random.choice((self.integer, self.double, self.decimal, self.text, self.date, self.time))
        one, other = kind(depth - 1), kind(depth - 1)
        compare = self.random.choice(("=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"))
        return self.pick(
            *leaves,
            lambda: Expr.of(f"({{0}} {compare} {{1}})", one, other),
            lambda: Expr.of(f"({{0}} {compare} {{1}})", one, other),
            lambda: Expr.of(f"({{0}} {compare} {{1}})", self.integer(depth - 1), self.decimal(depth - 1)),
            lambda: Expr.of(f"({{0}} {compare} {{1}})", self.double(depth - 1), self.decimal(depth - 1)),
            lambda: Expr.of(f"({{0}} {compare} {{1}})", self.double(depth - 1), self.integer(depth - 1)),
            lambda: Expr.of("({0} AND {1})", sub(), sub()),
            lambda: Expr.of("({0} OR {1})", sub(), sub()),
            lambda: Expr.of("(NOT {0})", sub()),
            lambda: Expr.of("({0} IS NULL)", one),
            lambda: Expr.of("({0} BETWEEN {1} AND {2})", one, other, kind(0)),
            lambda: Expr.of("({0} NOT BETWEEN {1} AND {2})", one, other, kind(0)),
            lambda: Expr.of("({0} IN ({1}, {2}))", one, other, kind(0)),
            lambda: Expr.of("({0} NOT IN ({1}, {2}))", one, other, kind(0)),
            lambda: self.like(depth),
            lambda: Expr.of("(ts {0} '{1}')", Expr.same(compare), self.moment()),
            lambda: Expr.of("(dt {0} DATE '{1}')", Expr.same(compare), Expr.same(self.moment().ours[:10])),
        )

    def text(self, depth: int) -> Expr:
        leaves = (
            lambda: Expr.same("s"),
            lambda: Expr.same(self.random.choice(("''", "'a'", "'50%'", "'Grün'", "'x_y'", "'naïve café'"))),
        )
        if depth == 0:
            return self.pick(*leaves)
        sub = lambda: self.text(depth - 1)  # noqa: E731
        start, count = self.random.randint(1, 4), self.random.randint(0, 5)
        return self.pick(
            *leaves,
            lambda: Expr.of("({0} || {1})", sub(), sub()),
            lambda: Expr.of("upper({0})", sub()),
            lambda: Expr.of("lower({0})", sub()),
            lambda: Expr.of("trim({0})", sub()),
            lambda: Expr.of("reverse({0})", sub()),
            lambda: Expr.of("replace({0}, 'a', 'bb')", sub()),
            lambda: Expr.of(f"substr({{0}}, {start}, {count})", sub()),
            lambda: Expr.of("CAST({0} AS VARCHAR)", self.integer(depth - 1)),
            lambda: Expr.of("CAST({0} AS VARCHAR)", self.date(0)),
            lambda: Expr.of("CAST({0} AS VARCHAR)", self.decimal(0)),
            lambda: Expr.of("CAST({0} AS VARCHAR)", self.boolean(depth - 1)),
            lambda: self.chosen(depth, sub),
        )

    def date(self, depth: int) -> Expr:
        leaves = (lambda: Expr.same("dt"), lambda: Expr.same(f"DATE '{self.moment().ours[:10]}'"))
        if depth == 0:
            return self.pick(*leaves)
        return self.pick(
            *leaves,
            lambda: Expr.of("CAST({0} AS DATE)", self.time(depth - 1)),
            lambda: self.chosen(depth, lambda: self.date(depth - 1)),
        )

    def time(self, depth: int) -> Expr:
        leaves = (lambda: Expr.same("ts"), lambda: Expr.same(f"TIMESTAMP '{self.moment().ours}'"))
        if depth == 0:
            return self.pick(*leaves)
        sub = lambda: self.time(depth - 1)  # noqa: E731
        unit = self.random.choice(("year", "month", "week", "day", "hour", "minute", "second"))
        interval = f"INTERVAL '{self.random.randint(-40, 40)} {self.random.choice(('day', 'hour', 'month', 'second'))}'"
        one, other = self.random.choice(ZONES), self.random.choice(ZONES)
        return self.pick(
            *leaves,
            lambda: Expr.of(f"date_trunc('{unit}', {{0}})", sub()),
            lambda: Expr.of(f"({{0}} + {interval})", sub()),
            lambda: Expr.of(f"({{0}} - {interval})", sub()),
            lambda: Expr.of("CAST({0} AS TIMESTAMP)", self.date(depth - 1)),
            lambda: Expr.of(f"(({{0}} AT TIME ZONE '{one}') AT TIME ZONE '{other}')", sub()),
            lambda: self.chosen(depth, sub),
        )

    def chosen(self, depth: int, sub) -> Expr:
        """CASE, COALESCE and the like: two values of which one is given."""
        return self.pick(
            lambda: Expr.of("(CASE WHEN {0} THEN {1} ELSE {2} END)", self.boolean(depth - 1), sub(), sub()),
            lambda: Expr.of("(CASE WHEN {0} THEN {1} END)", self.boolean(depth - 1), sub()),
            lambda: Expr.of("coalesce({0}, {1})", sub(), sub()),
            lambda: Expr.of("nullif({0}, {1})", sub(), sub()),
        )

    def mixed(self, depth: int) -> Expr:
        """Branches of different types, which meet in DOUBLE."""
        parts = [self.double(depth - 1), self.random.choice((self.integer, self.decimal))(depth - 1)]
        self.random.shuffle(parts)
        return self.pick(
            lambda: Expr.of("(CASE WHEN {0} THEN {1} ELSE {2} END)", self.boolean(depth - 1), *parts),
            lambda: Expr.of("coalesce({0}, {1})", *parts),
        )

    def like(self, depth: int) -> Expr:
        pattern, escape = self.random.choice(
            (("%a%", ""), ("_b%", ""), ("50$%", " ESCAPE '$'"), ("%x#_y", " ESCAPE '#'"), ("", ""), ("Gr%n", ""))
        )
        word = self.random.choice(("LIKE", "NOT LIKE", "ILIKE"))
        return Expr.of(f"({{0}} {word} '{pattern}'{escape})", self.text(depth - 1))

    def moment(self) -> Expr:
        return Expr.same(
            self.random.choice(
                (
                    "1969-12-31 23:59:59.100000", "1970-01-01 00:00:00.000000", "2024-02-29 12:34:56.789000",
                    "2024-03-31 02:30:00.000000", "2024-10-27 02:30:00.000000", "2013-01-01 00:00:00.000001",
                    "1900-03-01 00:00:00.000000",
                )
            )
        )

    def often(self, usual, other):
        """Errors have to be rare: a statement of many expressions fails with any of them."""
        return other if self.random.random() < 0.1 else usual

    def divisor(self, sub) -> Expr:
        return self.often(lambda: self.whole(self.random.choice((1, -1, 3, -7, 100))), sub)()

    def rounded(self, double: Expr) -> Expr:
        guard = "CAST({0} AS BIGINT)"
        return Expr.of(self.often("CAST(CASE WHEN abs({0}) < 1e15 THEN {0} END AS BIGINT)", guard), double)

    @staticmethod
    def whole(number: int) -> Expr:
        """A literal: a BIGINT here, an INTEGER there."""
        text = f"({number})" if number < 0 else str(number)
        return Expr(text, f"CAST({number} AS BIGINT)")

    @staticmethod
    def wide(expr: Expr) -> Expr:
        """Both widths of integers have rules of their own: BIGINT here and there."""
        return Expr.of("CAST({0} AS BIGINT)", expr)

    @staticmethod
    def quotient(ours: str, theirs: str, one: Expr, other: Expr) -> Expr:
        """Division by zero: an error here, null there."""
        one, other = Generator.wide(one), Generator.wide(other)
        return Expr(
            f"({one.ours} {ours} {other.ours})",
            f"(CASE WHEN {one.theirs} IS NOT NULL AND {other.theirs} = 0 THEN CAST(error('zero') AS BIGINT) "
            f"ELSE {one.theirs} {theirs} {other.theirs} END)",
        )
