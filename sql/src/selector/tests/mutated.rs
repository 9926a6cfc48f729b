//! Mutated selectors.

use std::cell::Cell;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};

use super::plugins::with_plugin;
use super::{Filters, NAMES, batch};

/// Pieces that expressions are made of.
const SOUP: [&str; 46] = [
    "a",
    "b",
    "TAGS",
    "$",
    "_",
    "'x'",
    "''",
    "'",
    "0",
    "1",
    "3.5",
    "1e5",
    ".5",
    "5.",
    "2147483648",
    "99999999999999999999",
    "9L",
    "(",
    ")",
    ",",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "--",
    "/*",
    "*/",
    "\n",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "IN ('1', '2')",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "CONTAINS",
    "STARTSWITH",
    "ENDSWITH",
    "long(",
    "é",
];

/// Whatever is made of these pieces is refused, or has an answer for every message. `MILLSTREAM_FUZZ_SECONDS` says how long it runs.
#[test]
fn mutated_selectors_are_compiled_or_refused() {
    let (_, plugins) = with_plugin();
    let rows: [&[(&str, &str)]; 4] = [
        &[("a", "1"), ("b", "x")],
        &[],
        &[("a", "3.5"), ("b", "true"), ("TAGS", "x")],
        &[("b", "NaN"), ("a", "Infinity")],
    ];
    let batch = batch(&rows);
    const SAMPLES: [&str; 3] = [
        "a = 3 AND b <> 'x' OR NOT (TAGS IN ('p', 'q') AND a BETWEEN 1 AND 5)",
        "a IS NOT NULL AND b CONTAINS 'x' = TRUE AND -a < 3.5e1",
        "long(body, 3) OR long(body, a) AND a > b",
    ];
    let seconds = std::env::var("MILLSTREAM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (taken, refused) = (Cell::new(0_u64), Cell::new(0_u64));
    let changes = vec((any::<Index>(), select(&SOUP[..]), 0..12_usize), 0..8);
    let strategy = (select(&SAMPLES[..]), changes, vec(select(&SOUP[..]), 0..12));
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    while Instant::now() < end {
        let ran = runner.run(&strategy, |(sample, changes, soup)| {
            let mut texts = vec![soup.join(" ")];
            let mut text: Vec<char> = sample.chars().collect();
            for (at, piece, removed) in changes {
                let at = at.index(text.len() + 1);
                let until = (at + removed).min(text.len());
                text.splice(at..until, piece.chars());
            }
            texts.push(text.into_iter().collect());
            for text in texts {
                match Filters::default().get("n", &text, NAMES, &plugins) {
                    Ok(filter) => {
                        let selection = filter.select(&batch).unwrap();
                        let failed = selection.failed.map_or(0, |(count, ..)| count);
                        prop_assert!(selection.passing.len() + failed <= rows.len());
                        taken.set(taken.get() + 1);
                    }
                    Err(crate::Error::Syntax { .. } | crate::Error::Invalid { .. }) => refused.set(refused.get() + 1),
                    Err(other) => prop_assert!(false, "{text}: {other}"),
                }
            }
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(taken.get() > 0 && refused.get() > 0, "{} taken, {} refused", taken.get(), refused.get());
}
