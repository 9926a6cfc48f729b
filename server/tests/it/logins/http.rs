//! HTTP: credentials of each request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{ADMIN, ANN, Tokens, admin, done, run, server, users};
use crate::program::Server;

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn asks(server: &Server, method: &str, path: &str, authorization: &str, body: &str) -> (u16, String) {
    let mut headers = vec![];
    if !authorization.is_empty() {
        headers.push(("Authorization", authorization));
    }
    let (status, body) = server.http(method, path, &headers, body.as_bytes());
    (status, String::from_utf8(body).unwrap())
}

fn selects(server: &Server, authorization: &str) -> (u16, String) {
    asks(server, "POST", "/v1/sql", authorization, "SELECT 1 AS one")
}

#[test]
fn each_request_says_who_sends_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    let Tokens { good, dropped, expired } = run(async { users(&admin(&server).await).await });
    for (what, authorization) in [
        ("the administrator's password", basic("admin", ADMIN)),
        ("a password", basic("ann", ANN)),
        ("a token", format!("Bearer {good}")),
        ("a token, with small letters", format!("bearer {good}")),
        ("a token for a password", basic("ann", &good)),
    ] {
        assert_eq!(selects(&server, &authorization), (200, "{\"one\":1}\n".to_owned()), "{what}");
    }
    for (what, authorization) in [
        ("nothing", String::new()),
        ("a wrong password", basic("ann", "another password")),
        ("nobody's name", basic("nobody", ANN)),
        ("a wrong token", "Bearer mst_aaaa".to_owned()),
        ("a dropped token", format!("Bearer {dropped}")),
        ("an expired token", format!("Bearer {expired}")),
        ("a dropped user", basic("bob", ANN)),
        ("a disabled user", basic("cleo", ANN)),
        ("another scheme", "Digest x".to_owned()),
        ("no base64", "Basic ???".to_owned()),
    ] {
        for (method, path) in [("POST", "/v1/sql"), ("GET", "/metrics"), ("GET", "/elsewhere")] {
            let (status, body) = asks(&server, method, path, &authorization, "SELECT 1");
            assert_eq!(status, 401, "{path} with {what}: {body}");
            assert!(body.contains("\"kind\":\"unauthenticated\"") && !body.contains(ANN), "{path} with {what}: {body}");
        }
    }
    for _ in 0..6 {
        selects(&server, &basic("dora", "another password"));
    }
    let (status, body) = selects(&server, &basic("dora", ANN));
    assert!(status == 401 && body.contains("too many failed attempts"), "{status} {body}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(asks(&server, "GET", path, "", "").0, 200, "{path} is open");
    }
}

#[test]
fn a_client_is_told_how_to_log_in() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    let mut stream = std::net::TcpStream::connect(server.http).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.http).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let answer = answer.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 401"), "{answer}");
    assert!(answer.contains("\r\nwww-authenticate: basic realm=\"millstream\""), "{answer}");
    assert!(answer.contains("\r\nwww-authenticate: bearer"), "{answer}");
}

#[test]
fn figures_are_for_operators() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = admin(&server).await;
        users(&admin).await;
        let figures = || asks(&server, "GET", "/metrics", &basic("ann", ANN), "");
        let (status, body) = figures();
        assert!(status == 403 && body.contains("OPERATE"), "{status} {body}");
        done(&admin, &["CREATE TABLE t (id BIGINT)", "GRANT OPERATE ON SERVER TO ann"]).await;
        let (status, body) = figures();
        assert!(status == 200 && body.contains("millstream_rows_appended_total"), "{status} {body}");
        let (status, body) = asks(&server, "POST", "/v1/sql", &basic("ann", ANN), "INSERT INTO t VALUES (1)");
        assert_eq!(status, 403, "{body}");
    });
}

#[test]
fn without_users_nothing_is_taken_that_nobody_can_check() {
    let server = Server::start();
    assert_eq!(selects(&server, &basic("user", "")).0, 200);
    let (status, body) = selects(&server, &basic("user", "secret"));
    assert!(status == 401 && body.contains("no passwords") && !body.contains("secret"), "{status} {body}");
    let (status, body) = selects(&server, "Bearer secret");
    assert!(status == 401 && body.contains("no tokens") && !body.contains("secret"), "{status} {body}");
}
