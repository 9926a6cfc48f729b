//! The client commands against a server.

use crate::program::{Server, code, example, millstream, stderr, stdout};

fn words(server: &Server) {
    server.ok(&["sql", "-c", "CREATE TABLE words (id BIGINT NOT NULL, word VARCHAR)"]);
    server.ok(&["sql", "-c", "INSERT INTO words VALUES (1, 'one'), (2, NULL), (3, 'a,\"b\"')"]);
}

#[test]
fn rows_are_written_in_each_format() {
    let server = Server::start();
    words(&server);
    let select = ["sql", "-c", "SELECT * FROM words ORDER BY id", "--format"];
    let with = |format: &'static str| server.ok(&[&select[..], &[format]].concat());
    assert_eq!(
        with("json"),
        "{\"id\":1,\"word\":\"one\"}\n{\"id\":2,\"word\":null}\n{\"id\":3,\"word\":\"a,\\\"b\\\"\"}\n"
    );
    assert_eq!(with("csv"), "id,word\n1,one\n2,\n3,\"a,\"\"b\"\"\"\n");
    assert_eq!(with("table"), " id | word\n----+-------\n  1 | one\n  2 |\n  3 | a,\"b\"\n(3 rows)\n");
    let empty = ["sql", "-c", "SELECT * FROM words WHERE id > 9", "--format"];
    assert_eq!(server.ok(&[&empty[..], &["json"]].concat()), "");
    assert_eq!(server.ok(&[&empty[..], &["csv"]].concat()), "id,word\n");
    let arrow = server.run(&[&select[..], &["arrow"]].concat());
    let stream = arrow_ipc::reader::StreamReader::try_new(arrow.stdout.as_slice(), None).unwrap();
    assert_eq!(stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    let server = Server::start();
    let failed = server.run(&["sql", "-c", "SELECT * FROM nothing"]);
    assert_eq!((code(&failed), stdout(&failed)), (1, ""));
    assert!(stderr(&failed).starts_with("error: "), "{}", stderr(&failed));
    for wrong in
        [&["sql", "--format", "xml", "-c", "SELECT 1"][..], &["sql", "--no-such"], &["nothing"], &["sql", "-c", ""]]
    {
        let output = millstream().args(wrong).output().unwrap();
        assert_eq!((code(&output), stdout(&output)), (2, ""), "{wrong:?}");
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("grpc://{free}");
    for command in [&["sql", "-c", "SELECT 1"][..], &["consume", "t", "--group", "g"], &["topic", "list"]] {
        let output = millstream().args(command).args(["--url", &url]).output().unwrap();
        assert_eq!((code(&output), stdout(&output)), (3, ""), "{command:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(&url), "{}", stderr(&output));
    }
    let output = millstream().args(["sql", "-c", "SELECT 1", "--url", "nonsense"]).output().unwrap();
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

#[test]
fn scripts_run_up_to_the_first_error() {
    let server = Server::start();
    let script = "-- a script\nCREATE TABLE t (a BIGINT);\nINSERT INTO t VALUES (1);\nSELECT a FROM t;\nSELECT b FROM t;\nDROP TABLE t;";
    let output = server.run_with_input(&["sql", "--format", "csv"], script);
    assert_eq!(code(&output), 1);
    assert!(stdout(&output).ends_with("a\n1\n"), "{}", stdout(&output));
    assert!(stderr(&output).contains("statement at line 5"), "{}", stderr(&output));
    assert_eq!(server.ok(&["sql", "--format", "csv", "-c", "SELECT a FROM t"]), "a\n1\n");
}

#[test]
fn files_come_in_and_go_out_unchanged() {
    let server = Server::start();
    let weather = example("weather.parquet");
    let said = server.ok(&["import", "weather", weather.to_str().unwrap(), "--create"]);
    assert!(said.starts_with("26115 rows into weather") && said.trim_end().ends_with("rows/s"), "{said}");
    let created = server.ok(&["sql", "--format", "json", "-c", "SHOW CREATE TABLE weather"]);
    assert!(created.contains("time_column") && created.contains("ts"), "{created}");
    let sums = |table: &str| {
        let query = format!(
            "SELECT count(*) AS n, min(ts) AS first, max(ts) AS last, CAST(sum(round(temp * 100)) AS BIGINT) AS t, count(wind_gust) AS g FROM {table}"
        );
        server.ok(&["sql", "--format", "json", "-c", &query])
    };
    let dir = tempfile::tempdir().unwrap();
    for ending in ["parquet", "csv", "jsonl"] {
        let file = dir.path().join(format!("weather.{ending}"));
        let file = file.to_str().unwrap();
        server.ok(&["export", "weather", file]);
        let table = format!("weather_{ending}");
        server.ok(&["import", &table, file, "--create"]);
        assert_eq!(sums(&table), sums("weather"), "{ending}");
        let created = server.ok(&["sql", "--format", "json", "-c", &format!("SHOW CREATE TABLE {table}")]);
        assert!(created.contains("time_column"), "{ending}: {created}");
    }
    let arrow = dir.path().join("q.arrow");
    server.ok(&["export", "--query", "SELECT origin FROM weather LIMIT 5", arrow.to_str().unwrap()]);
    let file = std::fs::File::open(arrow).unwrap();
    let stream = arrow_ipc::reader::StreamReader::try_new(file, None).unwrap();
    assert_eq!(stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 5);
    let again = server.run(&["import", "weather", weather.to_str().unwrap(), "--create"]);
    assert_eq!(code(&again), 1, "a table that is there is not created again");
    let missing = server.run(&["import", "weather", "/nonexistent.parquet"]);
    assert_eq!(code(&missing), 1);
}

#[test]
fn an_import_that_fails_leaves_no_table_of_its_making() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("late.jsonl");
    let mut text: String = (0..20_000).map(|n| format!("{{\"n\":{n},\"s\":\"x\"}}\n")).collect();
    // More than a commit may hold, after thousands of rows that fit.
    text.push_str(&format!("{{\"n\":1,\"s\":\"{}\"}}\n", "x".repeat(9 << 20)));
    std::fs::write(&file, text).unwrap();
    let failed = server.run(&["import", "late", file.to_str().unwrap(), "--create"]);
    assert!(code(&failed) == 1 && stderr(&failed).contains("9437196 bytes"), "{}", stderr(&failed));
    let gone = server.run(&["sql", "-c", "SELECT count(*) FROM late"]);
    assert!(stderr(&gone).contains("late does not exist"), "{} {}", stdout(&gone), stderr(&gone));
    words(&server);
    let produced =
        server.run_with_input(&["produce", "words"], &format!("{{\"id\":1,\"word\":\"{}\"}}\n", "x".repeat(9 << 20)));
    assert_eq!(code(&produced), 1, "{}", stderr(&produced));
    let there = server.run(&["import", "words", file.to_str().unwrap(), "--create"]);
    assert_eq!(code(&there), 1);
    assert_eq!(server.ok(&["sql", "--format", "csv", "-c", "SELECT count(*) AS n FROM words"]), "n\n3\n");
}

#[test]
fn rows_are_produced_from_standard_input() {
    let server = Server::start();
    words(&server);
    let output = server.run_with_input(&["produce", "words"], "{\"id\":4,\"word\":\"four\"}\n{\"id\":5}\n");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = server.run_with_input(&["produce", "words", "--input", "csv"], "word,id\nsix,6\n");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let rows = server.ok(&["sql", "--format", "csv", "-c", "SELECT * FROM words WHERE id > 3 ORDER BY id"]);
    assert_eq!(rows, "id,word\n4,four\n5,\n6,six\n");
    let output = server.run_with_input(&["produce", "words"], "{\"di\":4}\n");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no column \"di\""), "{}", stderr(&output));
}

#[test]
fn what_is_committed_is_what_was_printed() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE numbers (n BIGINT)"]);
    let values: Vec<String> = (0..100).map(|n| format!("({n})")).collect();
    server.ok(&["sql", "-c", &format!("INSERT INTO numbers VALUES {}", values.join(", "))]);
    server.ok(&["topic", "create", "even", "SELECT n FROM numbers WHERE n % 2 = 0"]);
    let consume = ["consume", "even", "--group", "g", "--from", "earliest", "--format", "csv"];
    let with = |more: &[&'static str]| server.ok(&[&consume[..], more].concat());
    let peek = with(&["--max-rows", "2", "--no-commit", "--offsets"]);
    assert_eq!(peek, "n,_partition,_offset\n0,0,0\n2,0,2\n");
    assert_eq!(with(&["--max-rows", "3"]), "n\n0\n2\n4\n");
    assert_eq!(with(&["--max-rows", "2"]), "n\n6\n8\n");
    let rest = with(&["--until-end"]);
    assert_eq!(rest.lines().count(), 1 + 45, "{rest}");
    assert!(rest.starts_with("n\n10\n12\n") && rest.ends_with("\n98\n"), "{rest}");
    assert_eq!(with(&["--until-end"]), "n\n");
    // --from has no say once there is a committed offset; a new group begins at the end by default.
    assert_eq!(server.ok(&["consume", "even", "--group", "other", "--until-end", "--format", "csv"]), "n\n");
    let lag = server.ok(&["group", "show", "g", "--format", "json"]);
    assert!(lag.contains("\"topic\":\"even\""), "{lag}");
    server.ok(&["group", "reset", "g", "--to", "earliest", "--topic", "even"]);
    assert_eq!(with(&["--until-end"]).lines().count(), 51);
    server.ok(&["group", "drop", "g"]);
}

#[test]
fn topics_are_listed_shown_and_dropped() {
    let server = Server::start();
    words(&server);
    server.ok(&["topic", "create", "short", "SELECT word FROM words WHERE id < 3"]);
    assert_eq!(code(&server.run(&["topic", "create", "short", "SELECT word FROM words"])), 1);
    server.ok(&["topic", "create", "short", "SELECT word FROM words", "--if-not-exists"]);
    assert!(server.ok(&["topic", "list", "--format", "csv"]).contains("short"));
    assert!(server.ok(&["topic", "show", "short", "--format", "json"]).contains("id < 3"));
    server.ok(&["topic", "drop", "short"]);
    assert_eq!(code(&server.run(&["topic", "show", "short"])), 1);
    assert!(server.ok(&["plugin", "list", "--format", "csv"]).starts_with("n"), "a header line");
}
