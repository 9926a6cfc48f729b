//! The HTTP door.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::plugin::guest;
use crate::program::Server;
use crate::remoting::Remoting;

fn text(body: Vec<u8>) -> String {
    String::from_utf8(body).unwrap()
}

fn sql(server: &Server, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let (status, body) = server.http("POST", "/v1/sql", headers, body.as_bytes());
    (status, text(body))
}

#[test]
fn health_metrics_and_statements() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--http-body-limit-bytes", "4kB"]);
    assert_eq!(server.http("GET", "/healthz", &[], b""), (200, b"ok\n".to_vec()));
    assert_eq!(server.http("GET", "/readyz", &[], b""), (200, b"ready\n".to_vec()));

    let (status, answer) =
        sql(&server, &[], "CREATE TABLE t (at TIMESTAMP NOT NULL, n BIGINT, price DECIMAL(10, 2), raw BYTEA)");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.starts_with("{\"") && answer.contains("\"rows\":0"), "{answer}");
    let insert = "INSERT INTO t VALUES ('2013-01-01T10:00:00', 9007199254740993, 1.5, x'00ff'), ('2013-01-01T10:00:00.5', NULL, NULL, NULL)";
    assert_eq!(sql(&server, &[], insert).0, 200);

    let (status, rows) = sql(&server, &[], "SELECT * FROM t ORDER BY at");
    assert_eq!(status, 200, "{rows}");
    assert_eq!(
        rows,
        "{\"at\":\"2013-01-01T10:00:00Z\",\"n\":9007199254740993,\"price\":\"1.50\",\"raw\":\"AP8=\"}\n\
         {\"at\":\"2013-01-01T10:00:00.500Z\",\"n\":null,\"price\":null,\"raw\":null}\n"
    );
    assert_eq!(sql(&server, &[], "SELECT n FROM t WHERE n < 0"), (200, String::new()));
    let json = [("Content-Type", "application/json")];
    let (status, rows) =
        sql(&server, &json, r#"{"sql": "SELECT n FROM t WHERE n = $1", "parameters": [9007199254740993]}"#);
    assert_eq!((status, rows.as_str()), (200, "{\"n\":9007199254740993}\n"));

    let (status, bytes) = server.http(
        "POST",
        "/v1/sql",
        &[("Accept", "application/vnd.apache.arrow.stream")],
        b"SELECT n FROM t ORDER BY at",
    );
    assert_eq!(status, 200);
    let stream = arrow_ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
    assert_eq!(stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);

    let (status, metrics) = server.http("GET", "/metrics", &[], b"");
    let metrics = text(metrics);
    assert_eq!(status, 200, "{metrics}");
    assert!(metrics.contains("\nmillstream_rows_appended_total 2\n"), "{metrics}");
    assert!(metrics.contains("\nmillstream_process_resident_bytes "), "{metrics}");
}

#[test]
fn a_server_whose_log_has_failed_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    // The state store's journal alone takes 64 MiB.
    let server = Server::over_small_files(dir.path(), 66 << 20);
    assert_eq!(sql(&server, &[], "CREATE TABLE t (word VARCHAR)").0, 200);
    assert_eq!(server.http("GET", "/readyz", &[], b""), (200, b"ready\n".to_vec()));
    let insert = format!("INSERT INTO t VALUES ('{}')", "x".repeat(100_000));
    assert_eq!(sql(&server, &[], &insert).0, 200);
    let doubled = (0..12).map(|_| sql(&server, &[], "INSERT INTO t SELECT word FROM t"));
    let (status, answer) = doubled.into_iter().find(|(status, _)| *status != 200).expect("66 MiB are full by now");
    assert_eq!(status, 503, "{answer}");
    assert!(answer.contains("\"reopen\""), "{answer}");
    let (status, answer) = server.http("GET", "/readyz", &[], b"");
    assert_eq!(status, 503, "{}", text(answer.clone()));
    assert!(text(answer).contains("\"reopen\""));
    // It is alive, and what it has acknowledged can be read.
    assert_eq!(server.http("GET", "/healthz", &[], b"").0, 200);
    let (status, rows) = sql(&server, &[], "SELECT count(*) > 3 AS some FROM t");
    assert_eq!((status, rows.as_str()), (200, "{\"some\":true}\n"));
}

#[test]
fn the_manual_lists_the_metrics_that_are_served() {
    let (dir, late) = (tempfile::tempdir().unwrap(), guest("late_departures"));
    let server = Server::over(dir.path(), &["--file-roots", late.parent().unwrap().to_str().unwrap()]);
    assert_eq!(sql(&server, &[], "CREATE TABLE t (a BIGINT)").0, 200);
    assert_eq!(sql(&server, &[], "SELECT * FROM poll('t', 'g', 1, 0)").0, 200);
    // Messages have series once there are tables of them, letters that were given up, and clients.
    assert_eq!(sql(&server, &[], "CREATE TABLE orders OF MESSAGES").0, 200);
    assert_eq!(sql(&server, &[], "CREATE TABLE \"%DLQ%g\" OF MESSAGES").0, 200);
    let mut client = Remoting::connect(server.remoting);
    let body = r#"{"clientID":"c","consumerDataSet":[],"producerDataSet":[{"groupName":"shop"}]}"#;
    assert_eq!(client.ask(34, &json!({}), body.as_bytes()).0, 0);
    // Plugins have series once one is loaded.
    let plugin = format!("CREATE PLUGIN late FROM '{}'", late.display());
    assert_eq!(sql(&server, &[], &plugin).0, 200);
    assert_eq!(sql(&server, &[], "SELECT late(CAST(90 AS REAL))").0, 200);
    let (_, metrics) = server.http("GET", "/metrics", &[], b"");
    let metrics = text(metrics);
    let names = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let served: BTreeSet<&str> = names.collect();
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `millstream_")?.split('`').next());
    let listed: BTreeSet<String> = rows.map(|name| format!("millstream_{name}")).collect();
    assert_eq!(served, listed.iter().map(String::as_str).collect());
    for name in served {
        let value = |line: &str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']) || rest.starts_with("_bucket{"))
        };
        assert!(metrics.lines().any(value), "{name} has no value");
    }
}

#[test]
fn errors_have_a_kind_and_a_status() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--http-body-limit-bytes", "4kB"]);
    let large = "x".repeat(10_000);
    for (method, path, headers, body, status, kind) in [
        ("POST", "/v1/sql", &[][..], "SELEC 1", 400, "invalid_input"),
        ("POST", "/v1/sql", &[], "", 400, "invalid_input"),
        ("POST", "/v1/sql", &[], "{\"sql\": \"SELECT $1\", \"parameters\": []}", 400, "invalid_input"),
        ("POST", "/v1/sql", &[], "DROP TABLE nothing", 404, "not_found"),
        ("POST", "/v1/sql", &[("Accept", "text/html")], "SELECT 1", 406, "not_acceptable"),
        ("POST", "/v1/sql", &[], large.as_str(), 413, "body_too_large"),
        ("GET", "/v1/sql", &[], "", 405, "method_not_allowed"),
        ("GET", "/v1/nothing", &[], "", 404, "not_found"),
    ] {
        let (found, answer) = server.http(method, path, headers, body.as_bytes());
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((found, answer["error"]["kind"].as_str()), (status, Some(kind)), "{method} {path} {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    assert_eq!(server.http("GET", "/healthz", &[], b"").0, 200);
}

#[test]
fn an_old_client_is_told_the_length_of_an_answer() {
    let server = Server::start();
    let ask = |statement: &str| {
        let mut stream = TcpStream::connect(server.http).unwrap();
        let head = format!("POST /v1/sql HTTP/1.0\r\nContent-Length: {}\r\n\r\n{statement}", statement.len());
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = ask("SELECT 1 AS one");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "{\"one\":1}\n");
    assert!(head.to_ascii_lowercase().contains("content-length: 10"), "{head}");
    let answer = ask("SELECT value, repeat('x', 1000) AS word FROM generate_series(1, 10000)");
    assert!(answer.contains(" 507 ") && answer.contains("HTTP/1.1"), "{answer:.500}");
}
