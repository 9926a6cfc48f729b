//! The statements of `tests/slt`, mutated token by token, are planned, or refused with an error that is not ours. A failure
//! prints the smallest mutation that shows it. `MILLSTREAM_FUZZ_SECONDS` says how long it runs.

use std::path::Path;
use std::time::{Duration, Instant};

use millstream_engine::ErrorKind;
use millstream_sql::SqlOptions;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Store, collect, open};

/// Cases between two looks at the clock.
const CASES: u32 = 100;
/// What planning the worst mutation may take in a debug build on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);
/// Tokens that take statements apart.
const SOUP: [&str; 72] = [
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "TRUE",
    "IN",
    "LIKE",
    "BETWEEN",
    "IS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "AS",
    "UNION",
    "ALL",
    "EXCEPT",
    "JOIN",
    "ON",
    "LEFT",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "WITH",
    "RECURSIVE",
    "VALUES",
    "INTERVAL",
    "EXISTS",
    "ARRAY",
    "STRUCT",
    "MAP",
    "TOPIC",
    "TABLE",
    "CREATE",
    "INTO",
    "OVER",
    "DISTINCT",
    "unnest",
    "poll",
    "sum",
    "t",
    "f",
    "a",
    "_offset",
    "*",
    "+",
    "-",
    "/",
    "||",
    "=",
    "<",
    ">",
    "::INT",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "'x'",
    "1",
    "-9223372036854775808",
    "1e999",
    "$1",
];

#[derive(Debug, Clone)]
enum Mutation {
    Remove(Index, usize),
    Insert(Index, &'static str),
    Replace(Index, &'static str),
    Swap(Index, Index),
    Repeat(Index, usize, usize),
    /// Goes on with another statement from some token on.
    Splice(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        2 => (at(), 1..4_usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        3 => (at(), select(&SOUP[..])).prop_map(|(at, with)| Mutation::Insert(at, with)),
        3 => (at(), select(&SOUP[..])).prop_map(|(at, with)| Mutation::Replace(at, with)),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        2 => (at(), 1..8_usize, 1..40_usize).prop_map(|(at, count, times)| Mutation::Repeat(at, count, times)),
        2 => (at(), at(), at()).prop_map(|(at, other, from)| Mutation::Splice(at, other, from)),
    ]
}

impl Mutation {
    fn apply<'a>(&self, tokens: &mut Vec<&'a str>, corpus: &'a [Vec<String>]) {
        if tokens.is_empty() {
            return;
        }
        let length = tokens.len();
        let piece = |at: &Index, count: &usize| at.index(length)..(at.index(length) + count).min(length);
        match self {
            Mutation::Remove(at, count) => drop(tokens.drain(piece(at, count))),
            Mutation::Insert(at, with) => tokens.insert(at.index(length), with),
            Mutation::Replace(at, with) => tokens[at.index(length)] = with,
            Mutation::Swap(one, other) => tokens.swap(one.index(length), other.index(length)),
            Mutation::Repeat(at, count, times) => {
                let range = piece(at, count);
                let repeated = tokens[range.clone()].repeat(*times);
                tokens.splice(range, repeated);
            }
            Mutation::Splice(at, other, from) => {
                let other = &corpus[other.index(corpus.len())];
                tokens.truncate(at.index(length));
                tokens.extend(other[from.index(other.len())..].iter().map(String::as_str));
            }
        }
    }
}

#[test]
fn mutated_statements_are_planned_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() > 150, "only {} statements were found", corpus.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = open(SqlOptions::default());
    runtime.block_on(async {
        store.run("CREATE TABLE t (a INT NOT NULL, b INT, s VARCHAR, d DOUBLE, id BIGINT, name VARCHAR)").await;
        store.run("CREATE TABLE f (ts TIMESTAMP NOT NULL, carrier VARCHAR, delay INT) WITH (time_column = 'ts')").await;
    });
    let asked = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    // A statement that takes too long is not tried again and again for a smaller one.
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 20, ..Config::default() };
    let (start, mut round) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(asked.unwrap_or(2)) {
        round += 1;
        let cases = (any::<Index>(), vec(mutation(), 1..5));
        let outcome = runner(&config, asked.is_some(), round).run(&cases, |(statement, mutations)| {
            let mut tokens = statement.get(&corpus).iter().map(String::as_str).collect();
            mutations.iter().for_each(|mutation| mutation.apply(&mut tokens, &corpus));
            runtime.block_on(check(&store, &tokens.join(" ")))
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
    }
}

/// Without a time that is asked for, a run repeats the one before; with one, it looks for what none has seen.
fn runner(config: &Config, asked: bool, round: u64) -> TestRunner {
    if asked {
        return TestRunner::new(config.clone());
    }
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&round.to_le_bytes());
    TestRunner::new_with_rng(config.clone(), TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Plans a text, and a topic's definition to its end; nothing of it is carried out.
async fn check(store: &Store, text: &str) -> Result<(), TestCaseError> {
    let work = async {
        match text.starts_with("CREATE TOPIC") {
            true => collect(store.session.execute(&format!("EXPLAIN {text}")).await?).await.map(|_| ()),
            false => store.session.prepare(text).await.map(|_| ()),
        }
    };
    match tokio::time::timeout(LONGEST, work).await {
        Err(_) => Err(TestCaseError::fail(format!("is still planned after {LONGEST:?}: {text}"))),
        Ok(Err(error)) if error.kind() == ErrorKind::Internal => Err(TestCaseError::fail(format!("{error}: {text}"))),
        Ok(_) => Ok(()),
    }
}

/// The statements of the SQL tests, as words and signs.
fn corpus() -> Vec<Vec<String>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/slt");
    let mut statements = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for record in text.split("\n\n") {
            let mut lines = record.lines().skip_while(|line| line.starts_with('#'));
            if lines.next().is_some_and(|line| line.starts_with("statement") || line.starts_with("query")) {
                let sql: Vec<&str> = lines.take_while(|line| *line != "----").collect();
                let tokens = words(&sql.join(" "));
                if !tokens.is_empty() {
                    statements.push(tokens);
                }
            }
        }
    }
    statements
}

fn words(sql: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = sql.trim();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |end| end + 2),
            c if c.is_alphanumeric() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        words.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    words
}
