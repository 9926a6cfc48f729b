//! The deepest statement of each shape runs, whatever the stack of the thread that asks for it; one step deeper is refused
//! with the reason and the place.

use millstream_sql::{Error, SqlOptions};

use crate::support::{Store, collect, open};

/// What a thread of tokio has, and one of the tests.
const CALLER_STACK_BYTES: usize = 2 << 20;

const CHAINS: &str = "the statement chains more than 500 operators and keywords";
const NESTS: &str = "the statement nests more than 50 levels deep";
const WITHS: &str = "WITH stands inside of WITH more than 5 levels deep";
const STACKS: &str = "the statement stacks too many joins and queries upon one another";
const READS: &str = "the statement reads more than 1000 tables";
const SUBQUERIES: &str = "sub-queries in expressions stand inside of one another more than 8 levels deep";
const BETWEENS: &str = "BETWEEN stands inside of BETWEEN more than 8 levels deep";
const GROWS: &str = "a condition names columns that are computed from one another so often";

/// Statements of one shape: `deepest` is the last size that runs, one more gives `refusal`.
struct Shape {
    name: &'static str,
    deepest: usize,
    refusal: &'static str,
    statement: fn(usize) -> String,
}

const fn shape(name: &'static str, deepest: usize, refusal: &'static str, statement: fn(usize) -> String) -> Shape {
    Shape { name, deepest, refusal, statement }
}

/// Chains: loops in the parser, trees in the plan.
const CHAINED: [Shape; 25] = [
    shape("or", 249, CHAINS, |n| format!("SELECT a FROM t WHERE {}", joined(n, " OR ", |i| format!("a = {i}")))),
    shape("and", 249, CHAINS, |n| format!("SELECT a FROM t WHERE {}", joined(n, " AND ", |i| format!("a <> {i}")))),
    shape("or of brackets", 494, CHAINS, |n| {
        format!("SELECT a FROM t WHERE {}", joined(n, " OR ", |i| format!("(a = {i} AND s = 'x')")))
    }),
    shape("plus", 497, CHAINS, |n| format!("SELECT a{} AS x FROM t", " + a".repeat(n))),
    shape("sum of plus", 494, CHAINS, |n| format!("SELECT sum(a{}) FROM t GROUP BY s", " + a".repeat(n))),
    shape("equals", 497, CHAINS, |n| format!("SELECT b{} AS x FROM t", " = b".repeat(n))),
    shape("less", 248, CHAINS, |n| format!("SELECT b{} AS x FROM t", " < b = b".repeat(n))),
    shape("concatenation", 497, CHAINS, |n| format!("SELECT s{} AS x FROM t", " || s".repeat(n))),
    shape("is null", 248, CHAINS, |n| format!("SELECT a{} AS x FROM t", " IS NULL".repeat(n))),
    shape("in", 496, CHAINS, |n| format!("SELECT b{} AS x FROM t", " IN (b)".repeat(n))),
    shape("like", 249, CHAINS, |n| {
        format!("SELECT a FROM t WHERE {}", joined(n, " OR ", |i| format!("s LIKE '%{i}'")))
    }),
    shape("ilike", 166, CHAINS, |n| {
        format!("SELECT a FROM t WHERE {}", joined(n, " AND ", |i| format!("s NOT ILIKE '%{i}_'")))
    }),
    shape("cast", 248, CHAINS, |n| format!("SELECT a{} AS x FROM t", "::BIGINT".repeat(n))),
    shape("time zone", 165, CHAINS, |n| format!("SELECT ts{} AS x FROM t", " AT TIME ZONE 'UTC'".repeat(n))),
    shape("not", 497, CHAINS, |n| format!("SELECT {}b AS x FROM t", "NOT ".repeat(n))),
    shape("minus", 497, CHAINS, |n| format!("SELECT {}a AS x FROM t", "- ".repeat(n))),
    shape("is distinct", 165, CHAINS, |n| format!("SELECT b{} AS x FROM t", " IS DISTINCT FROM b".repeat(n))),
    shape("interval", 249, CHAINS, |n| format!("SELECT {}INTERVAL '1 day'", "INTERVAL '1 day' + ".repeat(n))),
    shape("union", 248, CHAINS, |n| joined(n + 1, " UNION ALL ", |_| "SELECT a FROM t".to_owned())),
    shape("set operations", 124, CHAINS, |n| {
        format!("SELECT a FROM t{}", " UNION SELECT a FROM t EXCEPT SELECT a FROM t".repeat(n))
    }),
    shape("joins", 97, STACKS, |n| {
        format!("SELECT 1 FROM t t0{}", joined(n, "", |i| format!(" JOIN t t{} ON t{}.a = t0.a", i + 1, i + 1)))
    }),
    shape("tables", 98, STACKS, |n| format!("SELECT 1 FROM {}", joined(n, ", ", |i| format!("t t{i}")))),
    shape("conditions", 14, GROWS, |n| {
        format!("SELECT a FROM ({}SELECT a FROM t{}) WHERE a > 0", "SELECT a + a AS a FROM (".repeat(n), ")".repeat(n))
    }),
    shape("topic's plus", 495, CHAINS, |n| format!("CREATE TOPIC p{n} AS SELECT a{} AS x FROM t", " + a".repeat(n))),
    shape("topic's or", 248, CHAINS, |n| {
        format!("CREATE TOPIC o{n} AS SELECT a FROM t WHERE {}", joined(n, " OR ", |i| format!("a = {i}")))
    }),
];

/// Brackets within brackets.
const NESTED: [Shape; 21] = [
    shape("brackets", 50, NESTS, |n| format!("SELECT {}a{} AS x FROM t", "(".repeat(n), ")".repeat(n))),
    shape("sums in brackets", 50, NESTS, |n| format!("SELECT {}a{} AS x FROM t", "(1 + ".repeat(n), ")".repeat(n))),
    shape("chains in brackets", 50, NESTS, |n| {
        format!("SELECT {}a{} AS x FROM t", "(".repeat(n), " + 1 + 1 + 1 + 1 + 1 + 1)".repeat(n))
    }),
    shape("longer chains in brackets", 10, CHAINS, |n| {
        format!("SELECT {}a{} AS x FROM t", "(".repeat(n), format!("{})", " + a".repeat(48)).repeat(n))
    }),
    shape("functions", 50, NESTS, |n| format!("SELECT {}a{} AS x FROM t", "abs(".repeat(n), ")".repeat(n))),
    shape("functions of more", 50, NESTS, |n| {
        format!("SELECT {}a{} AS x FROM t", "nullif(".repeat(n), ", 1)".repeat(n))
    }),
    shape("subscripts", 50, NESTS, |n| {
        format!("SELECT {}a{}{} AS x FROM t", "[".repeat(n), "]".repeat(n), "[1]".repeat(n))
    }),
    shape("arrays", 50, NESTS, |n| format!("SELECT {}a{} AS x FROM t", "[".repeat(n), "]".repeat(n))),
    shape("structs", 50, NESTS, |n| format!("SELECT {}a{} AS x FROM t", "{x: ".repeat(n), "}".repeat(n))),
    shape("case", 50, NESTS, |n| format!("SELECT {}1{} FROM t", "CASE WHEN b THEN ".repeat(n), " END".repeat(n))),
    shape("case else", 50, NESTS, |n| {
        format!("SELECT {}1{} FROM t", "CASE WHEN b THEN 2 ELSE ".repeat(n), " END".repeat(n))
    }),
    shape("array types", 49, NESTS, |n| format!("SELECT CAST(NULL AS {}INT{})", "ARRAY<".repeat(n), ">".repeat(n))),
    shape("suffixed types", 494, CHAINS, |n| format!("SELECT CAST(NULL AS INT{})", "[]".repeat(n))),
    shape("derived tables", 48, STACKS, |n| format!("{}SELECT a FROM t{}", "SELECT a FROM (".repeat(n), ")".repeat(n))),
    shape("tables in brackets", 50, NESTS, |n| format!("SELECT 1 FROM {}t{}", "(".repeat(n), ")".repeat(n))),
    shape("joins in brackets", 48, STACKS, |n| {
        let tables = joined(n, "", |i| format!("(t t{i} CROSS JOIN "));
        format!("SELECT 1 FROM {tables}t{}", ")".repeat(n))
    }),
    shape("scalar sub-queries", 8, SUBQUERIES, |n| format!("SELECT {}1{}", "(SELECT ".repeat(n), ")".repeat(n))),
    shape("in sub-queries", 8, SUBQUERIES, |n| {
        format!("SELECT a FROM t WHERE {}true{}", "a IN (SELECT a FROM t WHERE ".repeat(n), ")".repeat(n))
    }),
    shape("exists", 8, SUBQUERIES, |n| {
        let tables = joined(n, "", |i| format!("EXISTS (SELECT 1 FROM t t{} WHERE t{}.a = t{i}.a AND ", i + 1, i + 1));
        format!("SELECT a FROM t t0 WHERE {tables}true{}", ")".repeat(n))
    }),
    shape("between", 8, BETWEENS, |n| format!("SELECT b{} AS x FROM t", " BETWEEN false AND true".repeat(n))),
    shape("with in with", 5, WITHS, |n| {
        format!("{}SELECT 1{}", "WITH c AS (".repeat(n), ") SELECT * FROM c".repeat(n))
    }),
];

/// Lists in the text that become chains when they are planned.
const WRITTEN_OUT: [Shape; 5] = [
    shape("common table expressions", 47, STACKS, |n| {
        let ctes = joined(n, "", |i| format!(", c{} AS (SELECT DISTINCT a FROM c{i})", i + 1));
        format!("WITH c0 AS (SELECT a FROM t){ctes} SELECT * FROM c{n}")
    }),
    shape("doubling", 9, READS, |n| {
        let ctes = joined(n, "", |i| format!(", c{} AS (SELECT x.a FROM c{i} x, c{i} y)", i + 1));
        format!("WITH c0 AS (SELECT a FROM t){ctes} SELECT count(*) FROM c{n}")
    }),
    shape("sub-queries through WITH", 8, SUBQUERIES, |n| {
        let ctes = joined(n, "", |i| format!(", c{} AS (SELECT (SELECT max(a) FROM c{i}) AS a)", i + 1));
        format!("WITH c0 AS (SELECT a FROM t){ctes} SELECT * FROM c{n}")
    }),
    shape("large steps", 31, STACKS, |n| {
        let step = |i| {
            format!(
                ", c{} AS (SELECT DISTINCT max(x.a) OVER (PARTITION BY y.a) AS a FROM c{i} x JOIN t y ON x.a = y.a \
                 GROUP BY x.a, y.a HAVING count(*) > 0 ORDER BY 1 LIMIT 3)",
                i + 1
            )
        };
        format!("WITH c0 AS (SELECT a FROM t){} SELECT * FROM c{n}", joined(n, "", step))
    }),
    shape("pipes", 166, CHAINS, |n| format!("SELECT a FROM t{}", " |> WHERE a > 0".repeat(n))),
];

fn joined(count: usize, separator: &str, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect::<Vec<_>>().join(separator)
}

#[test]
fn chains() {
    check(&CHAINED);
}

#[test]
fn nests() {
    check(&NESTED);
}

#[test]
fn what_is_written_out() {
    check(&WRITTEN_OUT);
}

#[expect(clippy::disallowed_methods, reason = "a stack of a given size; it is joined")]
fn check(shapes: &'static [Shape]) {
    let caller = std::thread::Builder::new().stack_size(CALLER_STACK_BYTES).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = open(SqlOptions { threads: 2, ..SqlOptions::default() });
            store.run("CREATE TABLE t (a INT, b BOOLEAN, s VARCHAR, ts TIMESTAMP, deep INT[][][])").await;
            store.run("INSERT INTO t VALUES (1, true, 's', '2013-01-01', [[[1]]])").await;
            for shape in shapes {
                let deepest = run(&store, &(shape.statement)(shape.deepest)).await;
                deepest.unwrap_or_else(|error| panic!("{}: {error}", shape.name));
                let error = run(&store, &(shape.statement)(shape.deepest + 1)).await.unwrap_err();
                assert!(error.to_string().contains(shape.refusal), "{}: {error}", shape.name);
                assert!(error.position().is_some(), "{}: {error}", shape.name);
            }
        });
    });
    caller.unwrap().join().unwrap();
}
async fn run(store: &Store, sql: &str) -> Result<(), Error> {
    collect(store.session.execute(sql).await?).await.map(|_| ())
}
