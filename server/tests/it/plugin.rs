//! `millstream plugin test`, with guests built from source by `scripts/build-guests`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::program::{code, example, millstream, stderr, stdout};

/// The directory of built guests; the first to ask has them brought up to date.
pub(crate) fn guest(name: &str) -> PathBuf {
    static GUESTS: OnceLock<PathBuf> = OnceLock::new();
    let dir = GUESTS.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_millstream"));
        let target = binary.ancestors().nth(2).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/build-guests");
        let output = Command::new(script).env("CARGO_TARGET_DIR", target).output().unwrap();
        assert!(output.status.success(), "scripts/build-guests: {}", stderr(&output));
        std::env::var_os("MILLSTREAM_GUESTS_DIR").map_or_else(|| target.join("guests"), PathBuf::from)
    });
    dir.join(name).with_extension("wasm")
}

fn test(name: &str, data: &Path, more: &[&str]) -> Output {
    millstream().args(["plugin", "test"]).arg(guest(name)).arg("--data").arg(data).args(more).output().unwrap()
}

#[test]
fn a_filter_is_tried_on_a_file() {
    let output = test("late_departures", &example("flights.parquet"), &["--show", "2"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    // What `SELECT count(*) FROM flights WHERE dep_delay > 60` gives.
    assert!(text.contains("kept       26581 of 336776 rows answered"), "{text}");
    assert!(text.contains("(2 rows)") && text.contains("rows/s"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("a.csv");
    std::fs::write(&csv, "dep_delay,carrier\n61,UA\n60,UA\n,AA\n300,UA\n90,AA\n").unwrap();
    let output = test("carrier_filter", &csv, &["--config", "UA", "--limit", "4"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("kept       2 of 4 rows answered"), "{text}");
    let kept: Vec<&str> = text.lines().skip(2).take(2).map(|line| line.split('|').next().unwrap().trim()).collect();
    assert_eq!(kept, ["1", "4"], "{text}");
}

#[test]
fn rows_that_fail_are_named_and_fail_the_test() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("a.csv");
    std::fs::write(&csv, "value\n1.5\n2.5\n3.5\n").unwrap();
    for (guest, config, kind) in [("traps", "data", "(Data)"), ("traps", "1", "(Trap)"), ("spins", "", "(Timeout)")] {
        let output = test(guest, &csv, &["--config", config, "--call-timeout-ms", "50"]);
        assert_eq!(code(&output), 1, "{}", stdout(&output));
        for row in 1..=3 {
            let start = format!("failed     row {row}: ");
            let line = stdout(&output).lines().find(|line| line.starts_with(&start));
            assert!(line.is_some_and(|line| line.contains(kind)), "row {row}: {}", stdout(&output));
        }
        assert!(stderr(&output).contains("3 of 3 rows failed"), "{}", stderr(&output));
    }
    let output = test("traps", &csv, &["--config", "data", "--show", "1"]);
    assert!(stderr(&output).contains("more than 1 fail"), "{}", stderr(&output));
}

/// The line of the report that begins with this word.
fn line<'a>(output: &'a Output, word: &str) -> &'a str {
    stdout(output).lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("{word}: {}", stdout(output)))
}

#[test]
fn a_consumer_is_given_a_file_in_batches() {
    let flights = example("flights.parquet");
    let output = test("hourly_delays", &flights, &["--partition-by", "origin", "--show", "2"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("done       336776 of 336776 rows; 0 given up, 0 failed"), "{text}");
    assert!(text.starts_with("output hours") && text.contains("(2 rows)"), "{text}");
    assert!(line(&output, "state").ends_with("in 3 partitions"), "{text}");
    // However the rows are cut, the sums are kept of the same hours.
    let again = test("hourly_delays", &flights, &["--batch-rows", "1000"]);
    let entries = |output: &Output| line(output, "state").split(',').next().unwrap().to_owned();
    assert_eq!(entries(&again), entries(&output));
    assert_ne!(line(&again, "output     hours"), line(&output, "output     hours"), "smaller batches say more often");

    let output = test("late_departures", &flights, &["--partition-by", "origin"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("are for consumers"), "{}", stderr(&output));
    let output = test("hourly_delays", &flights, &["--partition-by", "airport"]);
    assert!(stderr(&output).contains("no column \"airport\" to partition by"), "{}", stderr(&output));
}

#[test]
fn what_does_not_fit_is_said() {
    let output = test("carrier_filter", &example("flights.parquet"), &[]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("must name a carrier"), "{}", stderr(&output));
    let output = test("late_departures", &example("weather.parquet"), &[]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("reads a column \"dep_delay\", and the file has"), "{}", stderr(&output));
}

#[test]
fn a_checkback_handler_is_asked_about_half_messages_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let half = dir.path().join("half.jsonl");
    let rows = [("UA 1545", 0), ("ZZ 1", 0), ("ZZ 1", 15), ("no flight", 3)];
    let lines = rows.map(|(keys, checks)| format!("{{\"keys\": {keys:?}, \"_checks\": {checks}}}\n"));
    std::fs::write(&half, lines.concat()).unwrap();
    let table = format!("flights={}", example("flights.parquet").display());
    let output = test("seat_orders", &half, &["--table", &table]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    let verdicts: Vec<&str> =
        text.lines().skip(2).take(4).map(|line| line.rsplit('|').next().unwrap().trim()).collect();
    assert_eq!(verdicts, ["commit", "unknown", "rollback", "rollback"], "{text}");
    assert!(text.contains("answered   4 rows"), "{text}");

    for (tables, reason) in [
        (vec![], "--table flights=FILE gives its rows"),
        (vec!["--table", &table, "--table", "more=x.csv"], "looks no rows up in a table \"more\""),
        (vec!["--table", "flights"], "is not two names with = between them"),
    ] {
        let output = test("seat_orders", &half, &tables);
        assert_eq!(code(&output), 2, "{}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{}", stderr(&output));
    }
}

#[test]
fn a_consumer_looks_rows_up_in_a_file() {
    let table = format!("weather={}", example("weather.parquet").display());
    let output = test("windy_delays", &example("flights.parquet"), &["--table", &table, "--show", "2"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    // As many as are delayed by more than an hour.
    assert!(line(&output, "output     delays").ends_with("delays: 26581 rows"), "{}", stdout(&output));
}
