//! The HTTP door.

use crate::program::Server;

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
